/*
 * Costs of single operations, one line each: NAME, a tab, nanoseconds.
 *
 * A row is a function that does `n` operations and returns how long they took. n is grown until a sample takes long
 * enough; the median of some samples is printed. Arguments name the rows; without any all are measured.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

/* A byte to a child and back. */
static int64_t pipe_pingpong(long n)
{
	int there[2], back[2];
	char c = 0;
	CHECK(!pipe(there) && !pipe(back));
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			if (write(back[1], &c, 1) != 1)
				break;
		_exit(0);
	}
	int64_t t = TIMED(n, CHECK(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1));
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
	CHECK(waitpid(child, NULL, 0) == child);
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
	{ "read+write", read_write },
	{ "open+close", open_close },
	{ "stat", stat_row },
	{ "pipe ping-pong", pipe_pingpong },
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
