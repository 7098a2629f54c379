/* futex(2): waiting and waking, time-outs, bit sets, requeueing, private and shared words. */
#include "test.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

static long futex(void *word, int op, int value, const struct timespec *limit)
{
	return syscall(SYS_futex, word, op, value, limit, NULL, 0);
}

static atomic_int word, other, woken, waiting;

TEST(a_changed_word_does_not_wait)
{
	FAILS(futex(&word, FUTEX_WAIT, 1, NULL), EAGAIN);
	CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL), 0);
}

TEST(bad_arguments)
{
	FAILS(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL), EINVAL);
	FAILS(futex((void *)8, FUTEX_WAIT, 0, NULL), EFAULT);
	FAILS(futex(&word, 99, 0, NULL), ENOSYS);
	struct timespec bad = { .tv_nsec = 1000000000 };
	FAILS(futex(&word, FUTEX_WAIT, 0, &bad), EINVAL);
	FAILS(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
}

TEST(relative_time_out)
{
	struct timespec limit = { .tv_nsec = 50000000 };
	int64_t start = now_ms();
	FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &limit), ETIMEDOUT);
	CHECK(now_ms() - start >= 48);
}

TEST(absolute_time_out)
{
	struct timespec until;
	for (int realtime = 0; realtime < 2; realtime++) {
		OK(clock_gettime(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &until));
		until.tv_nsec += 50000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		int64_t start = now_ms();
		int op = FUTEX_WAIT_BITSET_PRIVATE | (realtime ? FUTEX_CLOCK_REALTIME : 0);
		FAILS(syscall(SYS_futex, &word, op, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
		CHECK(now_ms() - start >= 48);
	}
}

static void *wait_on_word(void *arg)
{
	int op = (int)(long)arg;
	atomic_fetch_add(&waiting, 1);
	while (futex(&word, op, 0, NULL) && errno == EINTR)
		;
	atomic_fetch_add(&woken, 1);
	return NULL;
}

static void start_waiters(pthread_t *threads, int count, void *(*fn)(void *), long arg)
{
	for (int i = 0; i < count; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, fn, (void *)arg), 0);
	WAIT_FOR(atomic_load(&waiting) == count);
	WAIT_FOR(is_asleep(getpid()));
}

TEST(wake_counts)
{
	pthread_t threads[5];
	start_waiters(threads, 5, wait_on_word, FUTEX_WAIT_PRIVATE);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL), 2);
	WAIT_FOR(atomic_load(&woken) == 2);
	sleep_ms(10);
	CHECK_EQ(atomic_load(&woken), 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL), 3);
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
}

TEST(requeue_moves_waiters)
{
	pthread_t threads[4];
	start_waiters(threads, 4, wait_on_word, FUTEX_WAIT_PRIVATE);
	FAILS(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 10L, &other, 7), EAGAIN);
	CHECK_EQ(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2L, &other, 0), 3);
	WAIT_FOR(atomic_load(&woken) == 1);
	CHECK_EQ(futex(&other, FUTEX_WAKE_PRIVATE, 10, NULL), 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL), 1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void *wait_for_bits(void *arg)
{
	atomic_fetch_add(&waiting, 1);
	while (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (int)(long)arg) && errno == EINTR)
		;
	atomic_fetch_or(&woken, (int)(long)arg);
	return NULL;
}

TEST(bit_sets_select_waiters)
{
	pthread_t first, second;
	CHECK_EQ(pthread_create(&first, NULL, wait_for_bits, (void *)1), 0);
	CHECK_EQ(pthread_create(&second, NULL, wait_for_bits, (void *)2), 0);
	WAIT_FOR(atomic_load(&waiting) == 2);
	WAIT_FOR(is_asleep(getpid()));
	CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
	CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
	pthread_join(second, NULL);
	CHECK_EQ(atomic_load(&woken), 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL), 1);
	pthread_join(first, NULL);
}

TEST(wake_op_changes_the_second_word)
{
	pthread_t thread;
	start_waiters(&thread, 1, wait_on_word, FUTEX_WAIT_PRIVATE);
	atomic_store(&other, 5);
	long n = syscall(SYS_futex, &word, FUTEX_WAKE_OP_PRIVATE, 1, 1L, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5));
	CHECK_EQ(n, 1);
	CHECK_EQ(atomic_load(&other), 8);
	pthread_join(thread, NULL);
}

static void wake_child_through(void *parents, void *childs)
{
	pid_t child = IN_CHILD({
		while (futex(childs, FUTEX_WAIT, 0, NULL) && errno == EINTR)
			;
	});
	for (int i = 0; i < 5000 && futex(parents, FUTEX_WAKE, 1, NULL) == 0; i++)
		sleep_ms(1);
	EXPECT_EXIT(child, 0);
}

TEST(shared_words_are_known_by_their_memory)
{
	int *anonymous = shared_memory(4096);
	wake_child_through(anonymous, anonymous);
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 8192));
	char *whole = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *second = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096));
	wake_child_through(whole + 4096 + 8, second + 8); /* one word at two addresses */
}

TEST(private_words_of_two_processes_are_two)
{
	volatile int *done = shared_memory(sizeof *done);
	pid_t child = IN_CHILD({
		*done = 1;
		struct timespec limit = { .tv_sec = 1 };
		FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &limit), ETIMEDOUT);
	});
	WAIT_FOR(*done && is_asleep(child));
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL), 0);
	EXPECT_EXIT(child, 0);
}

TEST(waitv_waits_for_any)
{
	struct futex_waitv words[2] = {
		{ .uaddr = (uintptr_t)&word, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
		{ .uaddr = (uintptr_t)&other, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG, .val = 3 },
	};
	FAILS(syscall(SYS_futex_waitv, words, 2, 0, NULL, 0), EAGAIN);
	words[1].val = 0;
	struct timespec until;
	OK(clock_gettime(CLOCK_MONOTONIC, &until));
	FAILS(syscall(SYS_futex_waitv, words, 2, 0, &until, CLOCK_MONOTONIC), ETIMEDOUT);
}

TEST(handing_over_many_times)
{
	enum { ROUNDS = 2000 };
	int *ball = shared_memory(sizeof *ball);
	pid_t child = IN_CHILD({
		for (int i = 0; i < ROUNDS; i++) {
			while (__atomic_load_n(ball, __ATOMIC_SEQ_CST) != 1)
				futex(ball, FUTEX_WAIT, 0, NULL);
			__atomic_store_n(ball, 0, __ATOMIC_SEQ_CST);
			futex(ball, FUTEX_WAKE, 1, NULL);
		}
	});
	for (int i = 0; i < ROUNDS; i++) {
		__atomic_store_n(ball, 1, __ATOMIC_SEQ_CST);
		futex(ball, FUTEX_WAKE, 1, NULL);
		while (__atomic_load_n(ball, __ATOMIC_SEQ_CST) != 0)
			futex(ball, FUTEX_WAIT, 1, NULL);
	}
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
