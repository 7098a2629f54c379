/* eventfd(2), timerfd_create(2), signalfd(2) and pidfds. */
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static uint64_t value_of(int fd)
{
	uint64_t value = 0;
	CHECK_EQ(read(fd, &value, 8), 8);
	return value;
}

static int is_readable(int fd)
{
	struct pollfd fds = { .fd = fd, .events = POLLIN };
	return OK(poll(&fds, 1, 0));
}

TEST(eventfd_counts)
{
	int fd = OK(eventfd(5, EFD_NONBLOCK));
	eventfd_write(fd, 7);
	CHECK_EQ(value_of(fd), 12);
	char text[8];
	FAILS(read(fd, text, 8), EAGAIN);
	FAILS(read(fd, text, 7), EINVAL);
	uint64_t most = UINT64_MAX - 1, too_big = UINT64_MAX;
	CHECK_EQ(write(fd, &most, 8), 8);
	FAILS(write(fd, &(uint64_t){ 1 }, 8), EAGAIN);
	FAILS(write(fd, &too_big, 8), EINVAL);
	CHECK_EQ(value_of(fd), most);
}

TEST(eventfd_as_a_semaphore)
{
	int fd = OK(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	char text[8];
	for (int i = 0; i < 3; i++)
		CHECK_EQ(value_of(fd), 1);
	FAILS(read(fd, text, 8), EAGAIN);
}

static void *add_later(void *arg)
{
	sleep_ms(40);
	eventfd_write((int)(long)arg, 9);
	return NULL;
}

TEST(eventfd_wakes_a_reader)
{
	pthread_t thread;
	int fd = OK(eventfd(0, 0));
	CHECK_EQ(pthread_create(&thread, NULL, add_later, (void *)(long)fd), 0);
	CHECK_EQ(value_of(fd), 9);
	pthread_join(thread, NULL);
}

TEST(timerfd_fires_once)
{
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	struct itimerspec once = { .it_value.tv_nsec = 500000000 }, left;
	int64_t start = now_ms();
	OK(timerfd_settime(fd, 0, &once, NULL));
	OK(timerfd_gettime(fd, &left));
	CHECK(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 500000000);
	CHECK(!is_readable(fd));
	CHECK_EQ(value_of(fd), 1);
	CHECK(now_ms() - start >= 499);
	OK(timerfd_gettime(fd, &left));
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
}

TEST(timerfd_counts_what_was_missed)
{
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec often = { { .tv_nsec = 10000000 }, { .tv_nsec = 10000000 } };
	OK(timerfd_settime(fd, 0, &often, NULL));
	sleep_ms(105);
	uint64_t n = value_of(fd);
	CHECK(n >= 10 && n < 3000);
	struct itimerspec off = { 0 }, old;
	OK(timerfd_settime(fd, 0, &off, &old));
	CHECK_EQ(old.it_interval.tv_nsec, 10000000);
	sleep_ms(25);
	char text[8];
	FAILS(read(fd, text, 8), EAGAIN);
}

TEST(timerfd_at_an_absolute_time)
{
	for (int realtime = 0; realtime < 2; realtime++) {
		int clock = realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, fd = OK(timerfd_create(clock, 0));
		struct itimerspec at = { 0 };
		OK(clock_gettime(clock, &at.it_value));
		at.it_value.tv_sec -= 1; /* already past */
		OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL));
		CHECK_EQ(value_of(fd), 1);
	}
	FAILS(timerfd_create(99, 0), EINVAL);
	FAILS(timerfd_settime(OK(eventfd(0, 0)), 0, &(struct itimerspec){ 0 }, NULL), EINVAL);
}

static sigset_t blocked(int one, int two)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, one);
	sigaddset(&set, two);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	return set;
}

TEST(signalfd_reads_signals)
{
	sigset_t set = blocked(SIGUSR1, SIGRTMIN);
	int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo info[3];
	FAILS(read(fd, info, sizeof info), EAGAIN);
	OK(kill(getpid(), SIGUSR1));
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 5 }));
	CHECK(is_readable(fd));
	CHECK_EQ(read(fd, info, sizeof info), 2 * sizeof *info);
	CHECK(info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (uint32_t)getpid() && info[0].ssi_code == SI_USER);
	CHECK(info[1].ssi_signo == (uint32_t)SIGRTMIN && info[1].ssi_int == 5 && info[1].ssi_code == SI_QUEUE);
	sigset_t pending;
	OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
	FAILS(read(fd, info, 10), EINVAL);
}

TEST(signalfd_wakes_a_reader)
{
	sigset_t set = blocked(SIGCHLD, SIGUSR1);
	int fd = OK(signalfd(-1, &set, 0));
	struct signalfd_siginfo info;
	pid_t child = IN_CHILD({
		sleep_ms(40);
		_exit(3);
	});
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
	CHECK(info.ssi_signo == SIGCHLD && info.ssi_pid == (uint32_t)child && info.ssi_status == 3);
	EXPECT_EXIT(child, 3);
}

TEST(pidfds)
{
	pid_t child = IN_CHILD({
		sleep_ms(40);
		_exit(5);
	});
	int fd = (int)OK(syscall(SYS_pidfd_open, child, 0));
	struct pollfd fds = { .fd = fd, .events = POLLIN };
	CHECK_EQ(poll(&fds, 1, 0), 0);
	CHECK_EQ(poll(&fds, 1, 5000), 1);
	siginfo_t info;
	OK(waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
	CHECK_EQ(info.si_status, 5);
	FAILS(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
	FAILS(syscall(SYS_pidfd_open, 0x3ffffff, 0), ESRCH);
	child = IN_CHILD(pause());
	fd = (int)OK(syscall(SYS_pidfd_open, child, 0));
	OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	EXPECT_KILLED(child, SIGTERM);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
