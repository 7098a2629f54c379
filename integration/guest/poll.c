/* poll(2), ppoll(2), select(2) and pselect(2). */
#include "test.h"
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

static volatile sig_atomic_t caught;
static void count(int sig)
{
	(void)sig;
	caught++;
}

TEST(time_limits)
{
	int p[2];
	OK(pipe(p));
	struct pollfd fds = { .fd = p[0], .events = POLLIN };
	int64_t start = now_ms();
	CHECK_EQ(poll(&fds, 1, 60), 0);
	int64_t took = now_ms() - start;
	CHECK(took >= 59 && took < 30000);
	CHECK_EQ(poll(NULL, 0, 20), 0);
	CHECK_EQ(poll(&fds, 1, 0), 0);
	struct timespec bad = { .tv_nsec = -1 };
	FAILS(ppoll(&fds, 1, &bad, NULL), EINVAL);
}

TEST(special_entries)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	struct pollfd fds[3] = {
		{ .fd = 999, .events = POLLIN },
		{ .fd = -1, .events = POLLIN, .revents = 77 },
		{ .fd = fd, .events = POLLIN | POLLOUT | POLLPRI },
	};
	CHECK_EQ(poll(fds, 3, 1000), 2);
	CHECK_EQ(fds[0].revents, POLLNVAL);
	CHECK_EQ(fds[1].revents, 0);
	CHECK_EQ(fds[2].revents, POLLIN | POLLOUT); /* files are always ready */
	FAILS(poll((void *)8, 1, 0), EFAULT);
}

TEST(woken_by_another_process)
{
	int p[2];
	OK(pipe(p));
	pid_t child = IN_CHILD({
		sleep_ms(40);
		CHECK_EQ(write(p[1], "x", 1), 1);
	});
	struct pollfd fds = { .fd = p[0], .events = POLLIN };
	CHECK_EQ(poll(&fds, 1, -1), 1);
	CHECK_EQ(fds.revents, POLLIN);
	EXPECT_EXIT(child, 0);
}

TEST(ppoll_swaps_the_mask)
{
	sigset_t set;
	sigset_t none;
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, count);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(kill(getpid(), SIGUSR1));
	struct timespec limit = { .tv_sec = 5 };
	CHECK_EQ(poll(NULL, 0, 10), 0);
	CHECK_EQ(caught, 0);
	FAILS(ppoll(NULL, 0, &limit, &none), EINTR);
	CHECK_EQ(caught, 1);
	OK(kill(getpid(), SIGUSR1));
	FAILS(pselect(0, NULL, NULL, NULL, &limit, &none), EINTR);
	CHECK_EQ(caught, 2);
	OK(sigprocmask(SIG_BLOCK, NULL, &none));
	CHECK(sigismember(&none, SIGUSR1));
}

TEST(select_returns_what_is_ready)
{
	int p[2], q[2];
	OK(pipe(p));
	OK(pipe(q));
	CHECK_EQ(write(q[1], "x", 1), 1);
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(p[0], &in);
	FD_SET(q[0], &in);
	FD_SET(p[1], &out);
	struct timeval limit = { .tv_sec = 5 };
	CHECK_EQ(select(q[1] + 1, &in, &out, NULL, &limit), 2);
	CHECK(!FD_ISSET(p[0], &in) && FD_ISSET(q[0], &in) && FD_ISSET(p[1], &out));
	CHECK(limit.tv_sec >= 4); /* Linux writes the rest of the time back */
	FD_SET(p[0], &in);
	FD_CLR(q[0], &in);
	limit = (struct timeval){ .tv_usec = 30000 };
	CHECK_EQ(select(p[0] + 1, &in, NULL, NULL, &limit), 0);
	CHECK(limit.tv_sec == 0 && limit.tv_usec == 0 && !FD_ISSET(p[0], &in));
	int closed = OK(dup(0));
	OK(close(closed));
	FD_SET(closed, &in);
	FAILS(select(closed + 1, &in, NULL, NULL, NULL), EBADF);
	FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL);
}

TEST(hang_up_of_a_socket)
{
	int s[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	struct pollfd fds = { .fd = s[0], .events = POLLIN | POLLOUT | POLLRDHUP };
	CHECK_EQ(poll(&fds, 1, 0), 1);
	CHECK_EQ(fds.revents, POLLOUT);
	OK(shutdown(s[1], SHUT_WR));
	CHECK_EQ(poll(&fds, 1, 0), 1);
	CHECK_EQ(fds.revents, POLLIN | POLLOUT | POLLRDHUP);
	OK(close(s[1]));
	CHECK_EQ(poll(&fds, 1, 0), 1);
	CHECK_EQ(fds.revents, POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
}

TEST(many_descriptors)
{
	enum { MANY = 200 };
	int last[2];
	struct pollfd fds[MANY];
	for (int i = 0; i < MANY; i++) {
		int p[2];
		OK(pipe(p));
		fds[i] = (struct pollfd){ .fd = p[0], .events = POLLIN };
		memcpy(last, p, sizeof last);
	}
	pid_t child = IN_CHILD({
		sleep_ms(30);
		CHECK_EQ(write(last[1], "x", 1), 1);
	});
	CHECK_EQ(poll(fds, MANY, 5000), 1);
	CHECK_EQ(fds[MANY - 1].revents, POLLIN);
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
