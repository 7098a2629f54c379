/* Pipes, sockets, events, timers, futexes: what is there at once, and what another has to be woken for. */
#include "bench.h"

#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

ROW(pipe_write_read)
{
	char c = 0;
	int ends[2];
	CHECK(!pipe(ends));
	int64_t took = TIMED(n, CHECK(write(ends[1], &c, 1) == 1 && read(ends[0], &c, 1) == 1));
	close(ends[0]), close(ends[1]);
	return took;
}

ROW(eventfd_write_read)
{
	uint64_t value = 1;
	int fd = eventfd(0, 0);
	CHECK(fd >= 0);
	int64_t took = TIMED(n, CHECK(write(fd, &value, 8) == 8 && read(fd, &value, 8) == 8));
	close(fd);
	return took;
}

ROW(epoll_ready)
{
	int epoll = epoll_create1(0), event = eventfd(1, 0);
	struct epoll_event e = { .events = EPOLLIN };
	CHECK(epoll >= 0 && event >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e));
	int64_t took = TIMED(n, CHECK(epoll_wait(epoll, &e, 1, -1) == 1));
	close(epoll), close(event);
	return took;
}

/* By how much a sleep of 100 microseconds is too long. */
ROW(sleep_overrun)
{
	const struct timespec asked = { .tv_nsec = 100000 };
	return TIMED(n, CHECK(!nanosleep(&asked, NULL))) - n * asked.tv_nsec;
}

/* As the C library's own calls are: the number is in the instruction before, so it can be patched. */
static long futex(atomic_int *word, int operation, int value)
{
	long result;
	register void *timeout __asm__("r10") = NULL;
	__asm__ volatile("movl %1, %%eax\n\tsyscall"
			 : "=&a"(result)
			 : "i"(SYS_futex), "D"(word), "S"(operation | FUTEX_PRIVATE_FLAG), "d"(value), "r"(timeout)
			 : "rcx", "r11", "memory");
	return result;
}

static atomic_int ball;

static void pass_ball(long n, int mine, int other)
{
	for (long i = 0; i < n; i++) {
		while (ball != mine)
			futex(&ball, FUTEX_WAIT, other);
		ball = other;
		futex(&ball, FUTEX_WAKE, 1);
	}
}

static void *ball_peer(void *n)
{
	pass_ball(*(long *)n, 1, 0);
	return NULL;
}

ROW(futex_wake_none)
{
	return TIMED(n, futex(&ball, FUTEX_WAKE, 1));
}

ROW(futex_pingpong)
{
	pthread_t thread;
	ball = 0;
	CHECK(!pthread_create(&thread, NULL, ball_peer, &n));
	int64_t start = now();
	pass_ball(n, 0, 1);
	pthread_join(thread, NULL);
	return now() - start;
}

/* A byte to a child and back; each has a descriptor to read and one to write. All are closed at last. */
static int64_t pingpong(long n, const int parent[2], const int child[2])
{
	char c = 0;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		for (long i = 0; i < n + 1; i++)
			if (read(child[0], &c, 1) != 1 || write(child[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	/* The first tells that the child is there. */
	CHECK(write(parent[1], &c, 1) == 1 && read(parent[0], &c, 1) == 1);
	int64_t took = TIMED(n, CHECK(write(parent[1], &c, 1) == 1 && read(parent[0], &c, 1) == 1));
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	for (int i = 0; i < 2; i++)
		close(parent[i]), close(child[i]);
	return took;
}

ROW(pipe_pingpong)
{
	int there[2], back[2];
	CHECK(!pipe(there) && !pipe(back));
	return pingpong(n, (int[]){ back[0], there[1] }, (int[]){ there[0], back[1] });
}

ROW(unix_pingpong)
{
	int pair[2];
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	return pingpong(n, (int[]){ pair[0], pair[0] }, (int[]){ pair[1], pair[1] });
}

ROW(tcp_pingpong)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(listener, (void *)&address, len) && !listen(listener, 1));
	CHECK(!getsockname(listener, (void *)&address, &len) && !connect(client, (void *)&address, len));
	int server = accept(listener, NULL, NULL);
	CHECK(server >= 0 && !close(listener));
	CHECK(!setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
	CHECK(!setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
	return pingpong(n, (int[]){ client, client }, (int[]){ server, server });
}

int main(int argc, char **argv)
{
	return run_rows(argc, argv);
}
