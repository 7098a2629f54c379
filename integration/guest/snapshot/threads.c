/* Four threads across a checkpoint: floating-point registers that are never in memory, a mutex and a condition that
 * they pass a turn round by, thread-local variables, and a timer of the process. It says that it is ready by the file
 * /work/ready, and ends with 42 when there is a file /work/go. */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static long rounds;
static atomic_int is_over;
static atomic_long ticks;
static __thread long own;

static void check(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "%s\n", what);
        _exit(1);
    }
}

static void *run(void *argument)
{
    int number = (int)(long)argument;
    double sum = 0;
    long steps = 0;
    own = number;
    while (!is_over) {
        for (int i = 0; i < 200000; i++)
            __asm__ volatile("addsd %1, %0" : "+x"(sum) : "x"(0.5));
        steps += 200000;
        check(sum == 0.5 * steps, "a floating-point register has changed");
        pthread_mutex_lock(&mutex);
        while (turn != number && !is_over)
            pthread_cond_wait(&turned, &mutex);
        turn = (turn + 1) % THREADS;
        rounds++;
        pthread_cond_broadcast(&turned);
        pthread_mutex_unlock(&mutex);
        check(own == number, "a thread-local variable has changed");
    }
    return NULL;
}

static void tick(int number)
{
    (void)number;
    ticks++;
}

static long rounds_now(void)
{
    pthread_mutex_lock(&mutex);
    long now = rounds;
    pthread_mutex_unlock(&mutex);
    return now;
}

int main(void)
{
    pthread_t threads[THREADS];
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec often = {{0, 10000000}, {0, 10000000}};
    signal(SIGRTMIN, tick);
    check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    check(timer_settime(timer, 0, &often, NULL) == 0, "timer_settime");
    for (long i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, run, (void *)i) == 0, "pthread_create");
    while (rounds_now() < 8 || ticks < 2)
        usleep(1000);
    check(close(open("/work/ready", O_CREAT | O_WRONLY, 0600)) == 0, "say that it is ready");
    while (access("/work/go", F_OK) != 0)
        usleep(1000);
    long had_rounds = rounds_now(), had_ticks = ticks;
    while (rounds_now() < had_rounds + 8 || ticks < had_ticks + 2)
        usleep(1000);
    pthread_mutex_lock(&mutex);
    is_over = 1;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0, "pthread_join");
    return 42;
}
