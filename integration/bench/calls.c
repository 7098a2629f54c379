/* What it costs to enter the kernel, where it has next to nothing to do, and not to enter it. */
#include "bench.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Computing and moving memory: a sandbox must not be seen here. */
ROW(cpu_spin)
{
	uint64_t x = 1;
	int64_t took = TIMED(n * 100, x = x * 6364136223846793005 + 1442695040888963407; x ^= x >> 29);
	__asm__ volatile("" ::"r"(x));
	return took;
}

ROW(memcpy_64k)
{
	static char from[1 << 16], to[1 << 16];
	return TIMED(n, memcpy(to, from, sizeof to); __asm__ volatile("" ::"r"(to) : "memory"));
}

/* The number comes from a register, not from the instruction before: what patches call sites may not know this one. */
ROW(getppid_raw)
{
	return TIMED(n, syscall(SYS_getppid));
}

ROW(getppid_libc)
{
	return TIMED(n, getppid());
}

static void *call_getppid(void *n)
{
	TIMED(*(long *)n, getppid());
	return NULL;
}

/* Two threads call at once; the time is that of a call of either. */
ROW(getppid_2threads)
{
	pthread_t thread;
	int64_t start = now();
	CHECK(!pthread_create(&thread, NULL, call_getppid, &n));
	call_getppid(&n);
	pthread_join(thread, NULL);
	return now() - start;
}

ROW(sched_yield)
{
	return TIMED(n, sched_yield());
}

ROW(clock_vdso)
{
	struct timespec t;
	return TIMED(n, clock_gettime(CLOCK_MONOTONIC, &t));
}

ROW(clock_sys)
{
	struct timespec t;
	return TIMED(n, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t));
}

ROW(read_zero)
{
	char c;
	int fd = open("/dev/zero", O_RDONLY);
	CHECK(fd >= 0);
	int64_t took = TIMED(n, CHECK(read(fd, &c, 1) == 1));
	close(fd);
	return took;
}

ROW(write_null)
{
	int fd = open("/dev/null", O_WRONLY);
	CHECK(fd >= 0);
	int64_t took = TIMED(n, CHECK(write(fd, "x", 1) == 1));
	close(fd);
	return took;
}

int main(int argc, char **argv)
{
	return run_rows(argc, argv);
}
