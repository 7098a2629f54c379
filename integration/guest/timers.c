/* Clocks, sleeps, POSIX timers (timer_create) and interval timers. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	OK(clock_gettime(clock, &t));
	return ns(t);
}

static atomic_int fired;
static siginfo_t last_info;
static void on_timer(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	last_info = *info;
	atomic_fetch_add(&fired, 1);
}

static void handle(int sig)
{
	struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
	OK(sigaction(sig, &action, NULL));
}

TEST(clocks_go_on)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW, CLOCK_TAI };
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		int64_t before = clock_ns(clocks[i]);
		sleep_ms(10);
		int64_t took = clock_ns(clocks[i]) - before;
		CHECK(took >= 9500000 && took < 30000000000);
	}
	int64_t last = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_ns(CLOCK_MONOTONIC);
		CHECK(now >= last);
		last = now;
	}
	struct timespec t;
	FAILS(clock_gettime(99, &t), EINVAL);
	OK(clock_getres(CLOCK_MONOTONIC, &t));
	CHECK(t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= 10000000);
}

TEST(the_library_and_the_kernel_agree)
{
	struct timespec raw;
	struct timeval day;
	for (int i = 0; i < 100; i++) {
		int64_t before = clock_ns(CLOCK_MONOTONIC);
		OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &raw));
		int64_t after = clock_ns(CLOCK_MONOTONIC);
		CHECK(before <= ns(raw) && ns(raw) <= after);
	}
	OK(gettimeofday(&day, NULL));
	CHECK(llabs(day.tv_sec - (long long)time(NULL)) <= 1);
	CHECK(llabs(clock_ns(CLOCK_REALTIME) / 1000000000 - (long long)time(NULL)) <= 1);
}

TEST(cpu_clocks_count_work_and_not_sleep)
{
	int64_t process = clock_ns(CLOCK_PROCESS_CPUTIME_ID), thread = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	sleep_ms(60);
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - process < 40000000);
	int64_t end = now_ms() + 10000;
	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - process < 5000000) {
		for (volatile int i = 0; i < 10000; i++)
			;
		CHECK(now_ms() < end);
	}
	CHECK(clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread > 4000000);
}

TEST(sleeping)
{
	struct timespec t = { .tv_nsec = 30000000 }, bad = { .tv_nsec = 1000000000 };
	int64_t start = now_ms();
	OK(nanosleep(&t, NULL));
	CHECK(now_ms() - start >= 29 && now_ms() - start < 5000);
	FAILS(nanosleep(&bad, NULL), EINVAL);
	bad = (struct timespec){ .tv_sec = -1 };
	FAILS(nanosleep(&bad, NULL), EINVAL);
	OK(clock_gettime(CLOCK_MONOTONIC, &t));
	t.tv_nsec += 30000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
	CHECK(clock_ns(CLOCK_MONOTONIC) >= ns(t));
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){ 1, 0 }, NULL), 0);
	CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL), EINVAL);
}

TEST(alarm_and_its_rest)
{
	handle(SIGALRM);
	CHECK_EQ(alarm(100), 0);
	CHECK_EQ(alarm(0), 100);
	struct itimerval soon = { .it_value.tv_usec = 300000 }, old;
	int64_t start = now_ms();
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	OK(getitimer(ITIMER_REAL, &old));
	CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec > 0);
	WAIT_FOR(atomic_load(&fired) == 1);
	CHECK(now_ms() - start >= 299);
	CHECK_EQ(last_info.si_code, SI_KERNEL);
}

TEST(interval_timer_of_cpu_time)
{
	handle(SIGVTALRM);
	handle(SIGPROF);
	struct itimerval often = { { .tv_usec = 10000 }, { .tv_usec = 10000 } };
	OK(setitimer(ITIMER_VIRTUAL, &often, NULL));
	sleep_ms(50);
	CHECK(atomic_load(&fired) <= 1); /* sleeping uses none */
	int64_t end = now_ms() + 5000;
	while (atomic_load(&fired) < 3 && now_ms() < end)
		;
	CHECK(atomic_load(&fired) >= 3);
	OK(setitimer(ITIMER_VIRTUAL, &(struct itimerval){ 0 }, NULL));
	atomic_store(&fired, 0);
	OK(setitimer(ITIMER_PROF, &often, NULL));
	end = now_ms() + 5000;
	while (atomic_load(&fired) < 2 && now_ms() < end)
		;
	CHECK(atomic_load(&fired) >= 2);
}

TEST(posix_timer_tells_its_value)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 4321 };
	struct itimerspec once = { .it_value.tv_sec = 1 }, left;
	handle(SIGRTMIN);
	OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	OK(timer_settime(timer, 0, &once, NULL));
	OK(timer_gettime(timer, &left));
	CHECK(ns(left.it_value) > 0 && ns(left.it_value) <= 1000000000);
	WAIT_FOR(atomic_load(&fired) == 1);
	CHECK_EQ(last_info.si_code, SI_TIMER);
	CHECK_EQ(last_info.si_value.sival_int, 4321);
	OK(timer_gettime(timer, &left));
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	OK(timer_delete(timer));
	CHECK(timer_gettime(timer, &left) == -1 && errno == EINVAL);
}

TEST(posix_timer_counts_overruns)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec often = { { .tv_nsec = 5000000 }, { .tv_nsec = 5000000 } };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	handle(SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	OK(timer_settime(timer, 0, &often, NULL));
	sleep_ms(100);
	siginfo_t info;
	CHECK_EQ(OK(sigwaitinfo(&set, &info)), SIGUSR1);
	CHECK(info.si_overrun >= 10);
	CHECK(timer_getoverrun(timer) >= 10);
}

TEST(posix_timer_without_a_signal)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec once = { .it_value.tv_sec = 100 }, left;
	OK(timer_create(CLOCK_REALTIME, &event, &timer));
	OK(timer_settime(timer, 0, &once, NULL));
	OK(timer_gettime(timer, &left));
	CHECK(left.it_value.tv_sec >= 98);
	event.sigev_notify = 77;
	FAILS(timer_create(CLOCK_MONOTONIC, &event, &timer), EINVAL);
}

static atomic_int called;
static void in_thread(union sigval value)
{
	atomic_store(&called, value.sival_int);
}

TEST(posix_timer_in_a_thread)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 11 };
	struct itimerspec once = { .it_value.tv_nsec = 10000000 };
	OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	OK(timer_settime(timer, 0, &once, NULL));
	WAIT_FOR(atomic_load(&called) == 11);
}

TEST(timers_do_not_outlive_exec_or_go_to_children)
{
	timer_t timer;
	struct itimerspec once = { .it_value.tv_nsec = 30000000 };
	OK(timer_create(CLOCK_MONOTONIC, &(struct sigevent){ .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 }, &timer));
	handle(SIGUSR1);
	OK(timer_settime(timer, 0, &once, NULL));
	pid_t child = IN_CHILD({
		sleep_ms(60);
		CHECK_EQ(atomic_load(&fired), 0);
		FAILS(timer_settime(timer, 0, &once, NULL), EINVAL);
	});
	EXPECT_EXIT(child, 0);
	child = IN_CHILD({
		OK(timer_create(CLOCK_MONOTONIC, NULL, &timer));
		OK(timer_settime(timer, 0, &once, NULL));
		execl("/bin/sleep", "sleep", "0.1", NULL);
	});
	EXPECT_EXIT(child, 0); /* SIGALRM would have killed it */
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
