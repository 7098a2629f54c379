/*
 * The frame of the guest programs: each file tests one area of the kernel, and passes on plain Linux first.
 *
 *     TEST(name) { CHECK(...); }      a case
 *     int main(int argc, char **argv) { return run_tests(argc, argv); }
 *
 * Every case runs in a child of its own, in an empty working directory of its own under $TEST_DIR (default /tmp),
 * and is killed when it takes too long. One line per case goes to standard output: "ok NAME" or "FAIL NAME: why".
 * Arguments name the cases to run; without any all are run, and "--list" only names them.
 */
#ifndef TEST_H
#define TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASE_SECONDS = 60, MAX_CASES = 100 };

struct test_case {
	const char *name;
	void (*run)(void);
};
static struct test_case test_cases[MAX_CASES];
static int nr_test_cases;
static int test_report = -1; /* the pipe that takes the reason of a failure */

#define TEST(id) \
	static void test_##id(void); \
	__attribute__((constructor)) static void register_##id(void) \
	{ \
		test_cases[nr_test_cases++] = (struct test_case){ #id, test_##id }; \
	} \
	static void test_##id(void)

/* Ends the case, or one of its children, with the reason. Only the first reason is shown. */
__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vdprintf(test_report, format, args);
	va_end(args);
	dprintf(test_report, "\n");
	_exit(1);
}

#define CHECK(cond) \
	do { \
		if (!(cond)) \
			fail("line %d: %s (errno: %s)", __LINE__, #cond, strerror(errno)); \
	} while (0)

#define CHECK_EQ(got, want) \
	do { \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) \
			fail("line %d: %s is %lld, want %lld (errno: %s)", __LINE__, #got, got_, want_, strerror(errno)); \
	} while (0)

#define CHECK_STR(got, want) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (strcmp(got_, want_)) \
			fail("line %d: %s is \"%s\", want \"%s\"", __LINE__, #got, got_, want_); \
	} while (0)

/* The call succeeds; its value is the value of the expression. */
#define OK(call) \
	({ \
		errno = 0; \
		__auto_type value_ = (call); \
		if ((long long)(intptr_t)value_ == -1) \
			fail("line %d: %s: %s", __LINE__, #call, strerror(errno)); \
		value_; \
	})

/* The call fails with just this error. */
#define FAILS(call, error) \
	do { \
		errno = 0; \
		long long value_ = (long long)(intptr_t)(call); \
		if (value_ != -1 || errno != (error)) \
			fail("line %d: %s gives %lld (%s), want %s", __LINE__, #call, value_, \
			     value_ == -1 ? strerrorname_np(errno) : "no error", strerrorname_np(error)); \
	} while (0)

static inline int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* Waits for a child that must end with this exit code. */
#define EXPECT_EXIT(pid, code) \
	do { \
		int status_; \
		pid_t pid_ = (pid); \
		CHECK_EQ(waitpid(pid_, &status_, 0), pid_); \
		if (!WIFEXITED(status_) || WEXITSTATUS(status_) != (code)) \
			fail("line %d: child ended with status %#x, want exit code %d", __LINE__, status_, code); \
	} while (0)

/* Waits for a child that must be killed by this signal. */
#define EXPECT_KILLED(pid, sig) \
	do { \
		int status_; \
		pid_t pid_ = (pid); \
		CHECK_EQ(waitpid(pid_, &status_, 0), pid_); \
		if (!WIFSIGNALED(status_) || WTERMSIG(status_) != (sig)) \
			fail("line %d: child ended with status %#x, want signal %d", __LINE__, status_, sig); \
	} while (0)

/* Forks; the child does the body and exits with 0. */
#define IN_CHILD(...) \
	({ \
		pid_t child_ = OK(fork()); \
		if (!child_) { \
			__VA_ARGS__; \
			_exit(0); \
		} \
		child_; \
	})

/* Memory that is shared with children forked later. */
static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap of shared memory: %s", strerror(errno));
	return memory;
}

/* Writes a whole file. */
static inline void write_file(const char *path, const char *text)
{
	int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	OK(close(fd));
}

/* Reads a whole small file; the result is valid until the next call. */
static inline const char *read_file(const char *path)
{
	static char text[1 << 16];
	size_t len = 0;
	ssize_t n;
	int fd = OK(open(path, O_RDONLY));
	while ((n = OK(read(fd, text + len, sizeof text - 1 - len))) > 0)
		len += (size_t)n;
	OK(close(fd));
	text[len] = 0;
	return text;
}

/* Waits until a byte in shared memory gets a value. */
#define WAIT_FOR(cond) \
	do { \
		int64_t end_ = now_ms() + 30000; \
		while (!(cond)) { \
			if (now_ms() > end_) \
				fail("line %d: %s did not come true", __LINE__, #cond); \
			sleep_ms(1); \
		} \
	} while (0)

/* Whether all threads of a process but the calling one sleep, as in a system call that waits. */
static inline int is_asleep(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	CHECK(tasks);
	int are_asleep = 1;
	for (struct dirent *task; are_asleep && (task = readdir(tasks));) {
		if (task->d_name[0] == '.' || atoi(task->d_name) == gettid())
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, atoi(task->d_name));
		const char *state = strrchr(read_file(path), ')');
		are_asleep = state && state[2] == 'S';
	}
	closedir(tasks);
	return are_asleep;
}

static pid_t test_child;
static void on_test_timeout(int sig)
{
	(void)sig;
	kill(-test_child, SIGKILL);
	kill(test_child, SIGKILL);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st, (void)type, (void)walk;
	return remove(path);
}

static int run_test(const struct test_case *test)
{
	char reason[400] = "", dir[200];
	int report[2], status;
	const char *parent = getenv("TEST_DIR");
	snprintf(dir, sizeof dir, "%s/test-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(dir) || pipe2(report, O_CLOEXEC)) {
		printf("FAIL %s: cannot prepare in %s: %s\n", test->name, dir, strerror(errno));
		return 1;
	}
	test_child = fork();
	if (!test_child) {
		test_report = report[1];
		signal(SIGALRM, SIG_DFL);
		setpgid(0, 0);
		if (chdir(dir))
			fail("cannot enter %s", dir);
		test->run();
		_exit(0);
	}
	close(report[1]);
	signal(SIGALRM, on_test_timeout);
	alarm(CASE_SECONDS);
	pid_t waited;
	do
		waited = waitpid(test_child, &status, 0);
	while (waited < 0 && errno == EINTR);
	alarm(0);
	kill(-test_child, SIGKILL); /* what the case left behind */
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	ssize_t len = read(report[0], reason, sizeof reason - 1);
	close(report[0]);
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	if (waited == test_child && WIFEXITED(status) && WEXITSTATUS(status) == 0 && len <= 0) {
		printf("ok %s\n", test->name);
		return 0;
	}
	reason[strcspn(reason, "\n")] = 0;
	if (len > 0)
		printf("FAIL %s: %s\n", test->name, reason);
	else if (waited != test_child)
		printf("FAIL %s: it could not be waited for\n", test->name);
	else if (WIFSIGNALED(status))
		printf("FAIL %s: killed by signal %d%s\n", test->name, WTERMSIG(status),
		       WTERMSIG(status) == SIGKILL ? " (it took too long)" : "");
	else
		printf("FAIL %s: ended with status %#x\n", test->name, status);
	return 1;
}

static int run_tests(int argc, char **argv)
{
	int failed = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (int i = 0; i < nr_test_cases; i++)
			puts(test_cases[i].name);
		return 0;
	}
	for (int i = 0; i < nr_test_cases; i++) {
		int wanted = argc < 2;
		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], test_cases[i].name);
		if (wanted)
			failed |= run_test(&test_cases[i]);
	}
	return failed;
}

#endif
