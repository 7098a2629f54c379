/* What a signal handler does to a sleeping call: SA_RESTART against EINTR (signal(7)). */
#include "test.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>

static volatile sig_atomic_t caught;
static void count(int sig)
{
	(void)sig;
	caught++;
}

static void handle_usr1(int flags)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = flags };
	OK(sigaction(SIGUSR1, &action, NULL));
}

/* Starts a child that sends SIGUSR1 once this process sleeps, and 60 ms later writes one byte to `fd`. */
static pid_t disturb(int fd)
{
	pid_t parent = getpid();
	return IN_CHILD({
		WAIT_FOR(is_asleep(parent));
		kill(parent, SIGUSR1);
		sleep_ms(60);
		if (fd >= 0)
			CHECK_EQ(write(fd, "x", 1), 1);
	});
}

TEST(read_of_a_pipe_restarts)
{
	int p[2];
	char c;
	OK(pipe(p));
	handle_usr1(SA_RESTART);
	pid_t child = disturb(p[1]);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(caught, 1);
	EXPECT_EXIT(child, 0);
}

TEST(read_of_a_pipe_is_interrupted)
{
	int p[2];
	char c;
	OK(pipe(p));
	handle_usr1(0);
	pid_t child = disturb(p[1]);
	FAILS(read(p[0], &c, 1), EINTR);
	CHECK_EQ(caught, 1);
	EXPECT_EXIT(child, 0);
}

TEST(write_of_a_full_pipe_gives_what_was_written)
{
	int p[2];
	OK(pipe2(p, 0));
	size_t capacity = (size_t)OK(fcntl(p[1], F_GETPIPE_SZ));
	char *data = OK(mmap(NULL, capacity * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	handle_usr1(SA_RESTART); /* even with SA_RESTART: part of it has been done */
	pid_t child = disturb(-1);
	CHECK_EQ(write(p[1], data, capacity * 2), capacity);
	CHECK_EQ(caught, 1);
	EXPECT_EXIT(child, 0);
}

TEST(waitpid_restarts_or_is_interrupted)
{
	for (int restart = 0; restart < 2; restart++) {
		caught = 0;
		handle_usr1(restart ? SA_RESTART : 0);
		pid_t sleeper = IN_CHILD({
			sleep_ms(150);
			_exit(5);
		});
		pid_t child = disturb(-1);
		if (!restart)
			FAILS(waitpid(sleeper, NULL, 0), EINTR);
		EXPECT_EXIT(sleeper, 5);
		CHECK_EQ(caught, 1);
		EXPECT_EXIT(child, 0);
	}
}

TEST(nanosleep_is_interrupted_and_tells_the_rest)
{
	struct timespec request = { .tv_sec = 30 }, rest;
	handle_usr1(SA_RESTART); /* never restarted after a handler */
	pid_t child = disturb(-1);
	FAILS(nanosleep(&request, &rest), EINTR);
	CHECK(rest.tv_sec > 0 && rest.tv_sec < 30);
	EXPECT_EXIT(child, 0);
}

TEST(nanosleep_goes_on_after_stop_and_continue)
{
	pid_t sleeper = IN_CHILD({
		struct timespec request = { .tv_nsec = 150000000 };
		int64_t start = now_ms();
		OK(nanosleep(&request, NULL));
		int64_t took = now_ms() - start;
		_exit(took >= 145 && took < 30000 ? 0 : 1);
	});
	sleep_ms(30);
	OK(kill(sleeper, SIGSTOP));
	CHECK_EQ(waitpid(sleeper, NULL, WUNTRACED), sleeper);
	OK(kill(sleeper, SIGCONT));
	EXPECT_EXIT(sleeper, 0);
}

TEST(an_absolute_sleep_is_interrupted)
{
	struct timespec until;
	handle_usr1(SA_RESTART);
	OK(clock_gettime(CLOCK_MONOTONIC, &until));
	until.tv_sec += 30;
	pid_t child = disturb(-1);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), EINTR);
	EXPECT_EXIT(child, 0);
}

TEST(poll_is_never_restarted)
{
	int p[2];
	OK(pipe(p));
	struct pollfd fds = { .fd = p[0], .events = POLLIN };
	handle_usr1(SA_RESTART);
	pid_t child = disturb(p[1]);
	FAILS(poll(&fds, 1, 5000), EINTR);
	CHECK_EQ(poll(&fds, 1, 5000), 1);
	EXPECT_EXIT(child, 0);
}

TEST(select_and_epoll_wait_are_never_restarted)
{
	int p[2], ep = OK(epoll_create1(0));
	struct epoll_event event = { .events = EPOLLIN };
	OK(pipe(p));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
	handle_usr1(SA_RESTART);
	pid_t child = disturb(-1);
	FAILS(epoll_wait(ep, &event, 1, 5000), EINTR);
	EXPECT_EXIT(child, 0);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	child = disturb(-1);
	FAILS(select(p[0] + 1, &set, NULL, NULL, NULL), EINTR);
	EXPECT_EXIT(child, 0);
}

TEST(pause_is_interrupted)
{
	handle_usr1(SA_RESTART);
	pid_t child = disturb(-1);
	FAILS(pause(), EINTR);
	EXPECT_EXIT(child, 0);
}

static int word;
TEST(futex_wait_restarts_without_a_time_limit)
{
	handle_usr1(SA_RESTART);
	int *shared = shared_memory(sizeof *shared);
	pid_t parent = getpid();
	pid_t child = IN_CHILD({
		WAIT_FOR(is_asleep(parent));
		kill(parent, SIGUSR1);
		sleep_ms(60);
		*shared = 1;
		CHECK_EQ(syscall(SYS_futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	});
	OK(syscall(SYS_futex, shared, FUTEX_WAIT, 0, NULL, NULL, 0));
	CHECK_EQ(caught, 1);
	EXPECT_EXIT(child, 0);
}

TEST(futex_wait_is_interrupted_without_restart)
{
	handle_usr1(0);
	pid_t child = disturb(-1);
	FAILS(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR);
	EXPECT_EXIT(child, 0);
}

TEST(flock_restarts)
{
	int fd = OK(open("lock", O_CREAT | O_RDWR, 0600));
	handle_usr1(SA_RESTART);
	int p[2];
	char c;
	OK(pipe(p));
	pid_t holder = IN_CHILD({
		int own = OK(open("lock", O_RDWR));
		OK(flock(own, LOCK_EX));
		CHECK_EQ(write(p[1], "x", 1), 1);
		sleep_ms(150);
	});
	CHECK_EQ(read(p[0], &c, 1), 1);
	pid_t child = disturb(-1);
	OK(flock(fd, LOCK_EX));
	CHECK_EQ(caught, 1);
	EXPECT_EXIT(holder, 0);
	EXPECT_EXIT(child, 0);
}

TEST(receiving_restarts_unless_it_has_a_time_limit)
{
	int s[2];
	char c;
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	handle_usr1(SA_RESTART);
	pid_t child = disturb(s[1]);
	CHECK_EQ(recv(s[0], &c, 1, 0), 1);
	EXPECT_EXIT(child, 0);
	struct timeval limit = { .tv_sec = 5 };
	OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	child = disturb(-1);
	FAILS(recv(s[0], &c, 1, 0), EINTR);
	EXPECT_EXIT(child, 0);
}

TEST(ignored_signals_do_not_interrupt)
{
	int p[2];
	char c;
	OK(pipe(p));
	signal(SIGUSR1, SIG_IGN);
	pid_t child = disturb(p[1]);
	struct pollfd fds = { .fd = p[0], .events = POLLIN };
	CHECK_EQ(poll(&fds, 1, 5000), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
