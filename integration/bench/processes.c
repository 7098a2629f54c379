/* Threads, processes and signals. */
#include "bench.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}

ROW(thread_create_join)
{
	return TIMED(n, {
		pthread_t thread;
		CHECK(!pthread_create(&thread, NULL, nothing, NULL));
		CHECK(!pthread_join(thread, NULL));
	});
}

static void expect_success(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

ROW(fork_exit_wait)
{
	return TIMED(n, {
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child)
			_exit(0);
		expect_success(child);
	});
}

/* A program is run to its end. One that is linked dynamically does more to start than one that is not. */
#define PROGRAM_ROW(id, fork, ...) \
	static void run_##id(void) \
	{ \
		pid_t child = fork(); \
		CHECK(child >= 0); \
		if (!child) { \
			execl(__VA_ARGS__, NULL); \
			_exit(127); \
		} \
		expect_success(child); \
	} \
	ROW(id) \
	{ \
		return TIMED(n, run_##id()); \
	}

PROGRAM_ROW(fork_exec_true, fork, "/bin/true", "true")
PROGRAM_ROW(vfork_exec_true, vfork, "/bin/true", "true")
PROGRAM_ROW(fork_exec_static, fork, "/bin/busybox", "busybox", "true")

static volatile sig_atomic_t nr_caught;

static void count(int number)
{
	(void)number;
	nr_caught++;
}

ROW(signal_self)
{
	CHECK(signal(SIGUSR1, count) != SIG_ERR);
	pid_t own = getpid();
	nr_caught = 0;
	int64_t took = TIMED(n, kill(own, SIGUSR1));
	CHECK(nr_caught == n);
	return took;
}

static char *page;

static void allow_writing(int number)
{
	(void)number;
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* A fault whose handler makes the page writable, and closing the page again: as garbage collectors do. */
ROW(segv_mprotect)
{
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED && signal(SIGSEGV, allow_writing) != SIG_ERR);
	int64_t took = TIMED(n, *(volatile char *)page = 1; CHECK(!mprotect(page, 4096, PROT_READ)));
	signal(SIGSEGV, SIG_DFL);
	munmap(page, 4096);
	return took;
}

int main(int argc, char **argv)
{
	return run_rows(argc, argv);
}
