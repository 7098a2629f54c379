/*
 * Costs of single operations, one line each: NAME, a tab, nanoseconds.
 *
 * A row is a function that does `n` operations and returns how long they took. n is grown until a sample takes long
 * enough; the median of some samples is printed. Arguments name the rows; without any all are measured.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 3, SAMPLE_NS = 30000000, COW_PAGES = 2048 };

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "micro: line %d: %s: %s\n", __LINE__, #cond, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

/* How long `n` times the body take. */
#define TIMED(n, body) \
	({ \
		int64_t start_ = now(); \
		for (long i = 0; i < (n); i++) { \
			body; \
		} \
		now() - start_; \
	})

static int64_t getppid_row(long n)
{
	return TIMED(n, getppid());
}

/* The number comes from a register, not from the instruction before: what patches call sites may not know this one. */
static int64_t getppid_register(long n)
{
	return TIMED(n, syscall(SYS_getppid));
}

static int64_t clock_row(long n)
{
	struct timespec t;
	return TIMED(n, clock_gettime(CLOCK_MONOTONIC, &t));
}

static int64_t read_write(long n)
{
	char c = 0;
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
	CHECK(zero >= 0 && null >= 0);
	int64_t t = TIMED(n, CHECK(read(zero, &c, 1) == 1 && write(null, &c, 1) == 1));
	close(zero);
	close(null);
	return t;
}

static int64_t open_close(long n)
{
	return TIMED(n, {
		int fd = open("/etc/passwd", O_RDONLY);
		CHECK(fd >= 0);
		close(fd);
	});
}

static int64_t stat_row(long n)
{
	struct stat st;
	return TIMED(n, CHECK(!stat("/etc/passwd", &st)));
}

static int64_t create_unlink(long n)
{
	return TIMED(n, {
		int fd = open("/tmp/new", O_WRONLY | O_CREAT, 0644);
		CHECK(fd >= 0);
		close(fd);
		CHECK(!unlink("/tmp/new"));
	});
}

/* Reads of a file of the root file system, as large as `size`, in order or not. */
static int64_t read_file(long n, size_t size, int in_order)
{
	static char block[1 << 16];
	struct stat st;
	int fd = open("/bin/busybox", O_RDONLY);
	CHECK(fd >= 0 && !fstat(fd, &st) && st.st_size > (off_t)size);
	long blocks = st.st_size / (off_t)size;
	uint32_t random = 1;
	int64_t t = TIMED(n, {
		random = random * 1664525 + 1013904223;
		long block_number = in_order ? i % blocks : (long)(random >> 8) % blocks;
		CHECK(pread(fd, block, size, block_number * (off_t)size) == (ssize_t)size);
	});
	close(fd);
	return t;
}

static int64_t sequential_read(long n)
{
	return read_file(n, 1 << 16, 1);
}

static int64_t random_read(long n)
{
	return read_file(n, 4096, 0);
}

static int64_t epoll_ready(long n)
{
	int epoll = epoll_create1(0), event = eventfd(1, 0);
	struct epoll_event e = { .events = EPOLLIN };
	CHECK(epoll >= 0 && event >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e));
	int64_t t = TIMED(n, CHECK(epoll_wait(epoll, &e, 1, -1) == 1));
	close(epoll), close(event);
	return t;
}

/* A byte to a child and back, by the parent's two descriptors and the child's. */
static int64_t pingpong(long n, const int parent[2], const int child[2])
{
	char c = 0;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		for (long i = 0; i < n; i++)
			if (read(child[0], &c, 1) != 1 || write(child[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	int64_t t = TIMED(n, CHECK(write(parent[1], &c, 1) == 1 && read(parent[0], &c, 1) == 1));
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return t;
}

static int64_t pipe_pingpong(long n)
{
	int there[2], back[2];
	CHECK(!pipe(there) && !pipe(back));
	int64_t t = pingpong(n, (int[]){ back[0], there[1] }, (int[]){ there[0], back[1] });
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
	return t;
}

static int64_t unix_pingpong(long n)
{
	int pair[2];
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	int64_t t = pingpong(n, (int[]){ pair[0], pair[0] }, (int[]){ pair[1], pair[1] });
	close(pair[0]), close(pair[1]);
	return t;
}

static atomic_int ball;

static void pass_ball(long n, int mine, int other)
{
	for (long i = 0; i < n; i++) {
		while (ball != mine)
			syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, other, NULL);
		ball = other;
		syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1);
	}
}

static void *ball_peer(void *n)
{
	pass_ball(*(long *)n, 1, 0);
	return NULL;
}

static int64_t futex_pingpong(long n)
{
	pthread_t thread;
	ball = 0;
	CHECK(!pthread_create(&thread, NULL, ball_peer, &n));
	int64_t start = now();
	pass_ball(n, 0, 1);
	pthread_join(thread, NULL);
	return now() - start;
}

static void *nothing(void *arg)
{
	return arg;
}

static int64_t thread_create_join(long n)
{
	return TIMED(n, {
		pthread_t thread;
		CHECK(!pthread_create(&thread, NULL, nothing, NULL));
		pthread_join(thread, NULL);
	});
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	(void)number;
	caught++;
}

static int64_t signal_self(long n)
{
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
	pid_t own = getpid();
	caught = 0;
	int64_t t = TIMED(n, kill(own, SIGUSR1));
	CHECK(caught == n);
	return t;
}

static int64_t fork_exit_wait(long n)
{
	return TIMED(n, {
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child)
			_exit(0);
		CHECK(waitpid(child, NULL, 0) == child);
	});
}

static int64_t fork_exec(long n)
{
	return TIMED(n, {
		int status;
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	});
}

static char *map(size_t size)
{
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	return m;
}

static int64_t mmap_touch(long n)
{
	return TIMED(n, {
		char *m = map(4096);
		*(volatile char *)m = 1;
		munmap(m, 4096);
	});
}

/* What a child pays for each page that it shares with its parent and writes. */
static int64_t fork_fault(long n)
{
	size_t size = COW_PAGES * 4096;
	char *m = map(size);
	int64_t total = 0, *took = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(took != MAP_FAILED);
	madvise(m, size, MADV_NOHUGEPAGE);
	memset(m, 1, size);
	for (long done = 0; done < n; done += COW_PAGES) {
		long pages = n - done < COW_PAGES ? n - done : COW_PAGES;
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child) {
			*took = TIMED(pages, ((volatile char *)m)[i * 4096] = 2);
			_exit(0);
		}
		CHECK(waitpid(child, NULL, 0) == child);
		total += *took;
	}
	munmap(m, size);
	munmap(took, 4096);
	return total;
}

static const struct row {
	const char *name;
	int64_t (*run)(long n);
} rows[] = {
	{ "getppid", getppid_row },
	{ "getppid, not patched", getppid_register },
	{ "clock_gettime", clock_row },
	{ "read+write", read_write },
	{ "open+close", open_close },
	{ "stat", stat_row },
	{ "create+unlink", create_unlink },
	{ "read 64K in order", sequential_read },
	{ "read 4K at random", random_read },
	{ "epoll ready", epoll_ready },
	{ "pipe ping-pong", pipe_pingpong },
	{ "unix ping-pong", unix_pingpong },
	{ "futex ping-pong", futex_pingpong },
	{ "signal to self", signal_self },
	{ "thread create+join", thread_create_join },
	{ "fork+exit+wait", fork_exit_wait },
	{ "fork+exec+wait", fork_exec },
	{ "mmap+touch+munmap", mmap_touch },
	{ "fault after fork", fork_fault },
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(const struct row *row)
{
	double sample[SAMPLES];
	long n = 1;
	for (int64_t t; (t = row->run(n)) < SAMPLE_NS && n < 1L << 30;)
		n *= t < SAMPLE_NS / 20 ? 10 : 2;
	for (int i = 0; i < SAMPLES; i++)
		sample[i] = (double)row->run(n) / (double)n;
	qsort(sample, SAMPLES, sizeof *sample, by_value);
	printf("%s\t%.1f\n", row->name, sample[SAMPLES / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int wanted = argc < 2;
		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], rows[i].name);
		if (wanted)
			measure(&rows[i]);
	}
	return 0;
}
