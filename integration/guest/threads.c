/* Threads as libc makes them: create, join, detach, thread-local storage, mutexes, conditions, robust locks. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>

static void *twice(void *arg)
{
	return (void *)((long)arg * 2);
}

TEST(create_and_join)
{
	pthread_t threads[32];
	for (long i = 0; i < 32; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, twice, (void *)i), 0);
	for (long i = 0; i < 32; i++) {
		void *result;
		CHECK_EQ(pthread_join(threads[i], &result), 0);
		CHECK_EQ((long)result, i * 2);
	}
}

static atomic_int started;
static void *count_start(void *arg)
{
	atomic_fetch_add(&started, 1);
	return arg;
}

TEST(detached_threads_end)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		CHECK_EQ(pthread_create(&thread, &attr, count_start, NULL), 0);
		if (i % 20 == 19)
			WAIT_FOR(atomic_load(&started) == i + 1);
	}
}

static __thread int local = 7;
static void *change_local(void *arg)
{
	if (local != 7)
		fail("a new thread has %d in its own variable", local);
	for (int i = 0; i < 1000; i++) {
		local = (int)(long)arg + i;
		sched_yield();
		CHECK_EQ(local, (long)arg + i);
	}
	return NULL;
}

TEST(thread_local_storage)
{
	pthread_t threads[4];
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, change_local, (void *)(i * 10000)), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(local, 7);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static void *increment(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

TEST(mutex_excludes)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, increment, NULL), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(counter, 80000);
}

static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static void *take_turns(void *arg)
{
	int me = (int)(long)arg;
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % 3 != me)
			pthread_cond_wait(&turned, &mutex);
		turn++;
		pthread_cond_broadcast(&turned);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

TEST(condition_variable)
{
	pthread_t threads[3];
	for (long i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, take_turns, (void *)i), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(turn, 900);
}

TEST(condition_times_out)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += 50000000;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	int64_t start = now_ms();
	pthread_mutex_lock(&mutex);
	CHECK_EQ(pthread_cond_timedwait(&turned, &mutex, &end), ETIMEDOUT);
	CHECK(now_ms() - start >= 45);
}

static pthread_mutex_t robust;
static void *die_with_lock(void *arg)
{
	pthread_mutex_lock(&robust);
	return arg;
}

TEST(robust_mutex_of_a_dead_thread)
{
	pthread_t thread;
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK_EQ(pthread_mutex_init(&robust, &attr), 0);
	CHECK_EQ(pthread_create(&thread, NULL, die_with_lock, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
}

TEST(robust_mutex_of_a_killed_process)
{
	pthread_mutex_t *shared = shared_memory(sizeof *shared);
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	CHECK_EQ(pthread_mutex_init(shared, &attr), 0);
	pid_t child = IN_CHILD({
		pthread_mutex_lock(shared);
		raise(SIGKILL);
	});
	EXPECT_KILLED(child, SIGKILL);
	CHECK_EQ(pthread_mutex_lock(shared), EOWNERDEAD);
}

static pthread_barrier_t barrier;
static void *meet(void *arg)
{
	for (int i = 0; i < 100; i++)
		pthread_barrier_wait(&barrier);
	return arg;
}

TEST(barrier)
{
	pthread_t threads[3];
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, meet, NULL), 0);
	meet(NULL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void *spin_until_cancelled(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	for (;;)
		pause();
	return arg;
}

TEST(cancel_a_sleeping_thread)
{
	pthread_t thread;
	void *result;
	CHECK_EQ(pthread_create(&thread, NULL, spin_until_cancelled, NULL), 0);
	sleep_ms(20);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
}

static void *exit_process(void *arg)
{
	exit((int)(long)arg);
}

TEST(exit_from_a_thread_ends_all)
{
	pid_t child = IN_CHILD({
		pthread_t thread;
		pthread_create(&thread, NULL, spin_until_cancelled, NULL);
		pthread_create(&thread, NULL, exit_process, (void *)33);
		pause();
	});
	EXPECT_EXIT(child, 33);
}

static void *outlive_main(void *arg)
{
	sleep_ms(50);
	_exit((int)(long)arg);
}

TEST(main_thread_may_end_first)
{
	pid_t child = IN_CHILD({
		pthread_t thread;
		pthread_create(&thread, NULL, outlive_main, (void *)44);
		syscall(SYS_exit, 9);
	});
	EXPECT_EXIT(child, 44);
}

static void *tell_ids(void *arg)
{
	pid_t *ids = arg;
	ids[0] = getpid();
	ids[1] = gettid();
	return NULL;
}

TEST(ids_of_threads)
{
	pthread_t thread;
	pid_t ids[2];
	CHECK_EQ(pthread_create(&thread, NULL, tell_ids, ids), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(ids[0], getpid());
	CHECK(ids[1] != getpid() && ids[1] > 0);
	CHECK_EQ(gettid(), getpid());
	FAILS(syscall(SYS_tgkill, getpid(), ids[1], 0), ESRCH);
}

TEST(many_threads_at_once)
{
	enum { MANY = 300 };
	static pthread_t threads[MANY];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(pthread_create(&threads[i], &attr, spin_until_cancelled, NULL), 0);
	for (int i = 0; i < MANY; i++)
		pthread_cancel(threads[i]);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static pthread_barrier_t all_are_there;
static atomic_int nr_computing;

static void *compute(void *arg)
{
	pthread_barrier_wait(&all_are_there);
	nr_computing++;
	for (volatile unsigned long i = 0;; i++)
		;
	return arg;
}

TEST(exit_ends_100_busy_threads)
{
	pid_t child = IN_CHILD({
		pthread_attr_t attr;
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 64 << 10);
		/* Threads that compute would leave little for the one that makes them. */
		pthread_barrier_init(&all_are_there, NULL, 101);
		for (int i = 0; i < 100; i++) {
			pthread_t thread;
			CHECK_EQ(pthread_create(&thread, &attr, compute, NULL), 0);
		}
		pthread_barrier_wait(&all_are_there);
		while (nr_computing < 100)
			sleep_ms(1);
		_exit(7);
	});
	EXPECT_EXIT(child, 7);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
