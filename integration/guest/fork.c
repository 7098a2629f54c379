/* fork(2), vfork(2) and copy-on-write memory. */
#include "test.h"

static int data = 1;

TEST(memory_is_copied)
{
	int stack = 1, *heap = malloc(sizeof *heap);
	*heap = 1;
	pid_t child = IN_CHILD({
		data = stack = *heap = 2;
		_exit(data + stack + *heap);
	});
	EXPECT_EXIT(child, 6);
	CHECK_EQ(data + stack + *heap, 3);
}

TEST(copy_on_write_works_both_ways)
{
	enum { PAGES = 512 };
	volatile char *memory = OK(mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int p[2];
	char c;
	OK(pipe(p));
	for (int i = 0; i < PAGES; i++)
		memory[i * 4096] = (char)i;
	pid_t child = IN_CHILD({
		CHECK_EQ(read(p[0], &c, 1), 1); /* the parent has written by now */
		for (int i = 0; i < PAGES; i++) {
			if (memory[i * 4096] != (char)i)
				fail("page %d has the parent's new value", i);
			memory[i * 4096] = 99;
		}
	});
	for (int i = 0; i < PAGES; i++)
		memory[i * 4096] = (char)(i + 1);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EXIT(child, 0);
	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(memory[i * 4096], (char)(i + 1));
}

TEST(generations_keep_their_own_copies)
{
	data = 100;
	pid_t child = IN_CHILD({
		data++;
		pid_t grandchild = IN_CHILD({
			data++;
			_exit(data == 102 ? 0 : 1);
		});
		EXPECT_EXIT(grandchild, 0);
		_exit(data == 101 ? 0 : 1);
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(data, 100);
}

TEST(system_calls_write_to_the_right_copy)
{
	static char buffer[8192];
	int p[2];
	OK(pipe(p));
	memset(buffer, 'p', sizeof buffer);
	pid_t child = IN_CHILD({
		CHECK_EQ(read(p[0], buffer + 4090, 12), 12); /* over a page boundary */
		_exit(memcmp(buffer + 4089, "pabcdefghijklp", 14) != 0);
	});
	CHECK_EQ(write(p[1], "abcdefghijkl", 12), 12);
	EXPECT_EXIT(child, 0);
	for (size_t i = 0; i < sizeof buffer; i++)
		CHECK_EQ(buffer[i], 'p');
}

TEST(ids_and_inherited_things)
{
	pid_t parent = getpid();
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(kill(getpid(), SIGUSR1));
	umask(027);
	alarm(5);
	pid_t child = IN_CHILD({
		CHECK_EQ(getppid(), parent);
		CHECK(getpid() != parent);
		CHECK_EQ(gettid(), getpid());
		CHECK_EQ(getpgrp(), parent);
		sigset_t now;
		OK(sigprocmask(SIG_BLOCK, NULL, &now));
		CHECK(sigismember(&now, SIGUSR1));
		OK(sigpending(&now));
		CHECK(!sigismember(&now, SIGUSR1)); /* pending signals and alarms are not inherited */
		CHECK_EQ(alarm(0), 0);
		CHECK_EQ(umask(0), 027);
	});
	EXPECT_EXIT(child, 0);
	CHECK(alarm(0) > 0);
}

TEST(file_offset_is_shared)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	pid_t child = IN_CHILD(CHECK_EQ(write(fd, "12345", 5), 5));
	EXPECT_EXIT(child, 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
}

TEST(orphans_get_a_new_parent)
{
	pid_t *new_parent = shared_memory(sizeof *new_parent);
	pid_t child = IN_CHILD({
		pid_t middle = getpid();
		IN_CHILD({
			while (getppid() == middle)
				sleep_ms(1);
			*new_parent = getppid();
		});
	});
	EXPECT_EXIT(child, 0);
	WAIT_FOR(*new_parent);
	CHECK(*new_parent != child && *new_parent > 0);
}

TEST(vfork_shares_memory_and_suspends_the_parent)
{
	static volatile int shared;
	shared = 0;
	pid_t child = vfork();
	if (!child) {
		struct timespec t = { .tv_nsec = 50000000 };
		nanosleep(&t, NULL);
		shared = 8;
		_exit(4);
	}
	CHECK(child > 0);
	CHECK_EQ(shared, 8);
	EXPECT_EXIT(child, 4);
}

TEST(vfork_ends_with_exec)
{
	char *argv[] = { "/bin/sh", "-c", "read line; exit 7", NULL };
	int ends[2];
	OK(pipe2(ends, O_CLOEXEC));
	pid_t child = vfork();
	if (!child) {
		dup2(ends[0], 0);
		execv(argv[0], argv);
		_exit(127);
	}
	/* The program waits for what its parent writes: it still runs. */
	CHECK_EQ(write(ends[1], "go\n", 3), 3);
	EXPECT_EXIT(child, 7);
}

TEST(a_killed_vfork_child_releases_the_parent)
{
	pid_t child = vfork();
	if (!child) {
		kill(getpid(), SIGKILL);
		_exit(0);
	}
	EXPECT_KILLED(child, SIGKILL);
}

TEST(many_forks)
{
	for (int i = 0; i < 100; i++) {
		pid_t child = IN_CHILD(_exit(i));
		EXPECT_EXIT(child, i);
	}
	pid_t children[40];
	for (int i = 0; i < 40; i++)
		children[i] = IN_CHILD(_exit(i));
	for (int i = 39; i >= 0; i--)
		EXPECT_EXIT(children[i], i);
}

TEST(shared_mappings_stay_shared)
{
	int *shared = shared_memory(4096);
	pid_t child = IN_CHILD({
		pid_t grandchild = IN_CHILD(shared[7] = 77);
		EXPECT_EXIT(grandchild, 0);
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(shared[7], 77);
}

TEST(madvise_keeps_things_from_the_child)
{
	char *kept = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *gone = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	*kept = *gone = 5;
	OK(madvise(kept, 4096, MADV_WIPEONFORK));
	OK(madvise(gone, 4096, MADV_DONTFORK));
	pid_t child = IN_CHILD({
		CHECK_EQ(*kept, 0);
		FAILS(madvise(gone, 4096, MADV_NORMAL), ENOMEM);
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(*kept, 5);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
