/* clone(2) and clone3(2): which things the child shares, and the ids that the kernel writes for it. */
#include "test.h"
#include <linux/sched.h>
#include <stdatomic.h>

static char stack[64 << 10] __attribute__((aligned(16)));
static volatile int value;

static int set_value(void *arg)
{
	value = (int)(long)arg;
	_exit(0);
}

static pid_t clone_with(int (*fn)(void *), int flags, void *arg)
{
	return OK(clone(fn, stack + sizeof stack, flags | SIGCHLD, arg));
}

TEST(memory_is_shared_with_vm_only)
{
	EXPECT_EXIT(clone_with(set_value, 0, (void *)5), 0);
	CHECK_EQ(value, 0);
	EXPECT_EXIT(clone_with(set_value, CLONE_VM, (void *)6), 0);
	CHECK_EQ(value, 6);
}

static int close_descriptor(void *arg)
{
	_exit(close((int)(long)arg) != 0);
}

TEST(descriptors_are_shared_with_files_only)
{
	int fd = OK(dup(0));
	EXPECT_EXIT(clone_with(close_descriptor, 0, (void *)(long)fd), 0);
	OK(fcntl(fd, F_GETFD));
	EXPECT_EXIT(clone_with(close_descriptor, CLONE_FILES, (void *)(long)fd), 0);
	FAILS(fcntl(fd, F_GETFD), EBADF);
}

static int go_to_root(void *arg)
{
	(void)arg;
	umask(0);
	_exit(chdir("/") != 0);
}

TEST(working_directory_is_shared_with_fs_only)
{
	char here[300];
	CHECK(getcwd(here, sizeof here));
	umask(022);
	EXPECT_EXIT(clone_with(go_to_root, 0, NULL), 0);
	char there[300];
	CHECK_STR(getcwd(there, sizeof there), here);
	EXPECT_EXIT(clone_with(go_to_root, CLONE_FS, NULL), 0);
	CHECK_STR(getcwd(there, sizeof there), "/");
	CHECK_EQ(umask(022), 0);
}

static void ignore(int sig)
{
	(void)sig;
}

static int set_handler(void *arg)
{
	(void)arg;
	signal(SIGUSR1, ignore);
	_exit(0);
}

TEST(handlers_are_shared_with_sighand_only)
{
	struct sigaction action;
	EXPECT_EXIT(clone_with(set_handler, CLONE_VM, NULL), 0);
	OK(sigaction(SIGUSR1, NULL, &action));
	CHECK(action.sa_handler == SIG_DFL);
	EXPECT_EXIT(clone_with(set_handler, CLONE_VM | CLONE_SIGHAND, NULL), 0);
	OK(sigaction(SIGUSR1, NULL, &action));
	CHECK(action.sa_handler == ignore);
}

static int exit_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int clone_without_privilege(void *arg)
{
	(void)arg;
	OK(setresuid(65534, 65534, 65534));
	FAILS(unshare(CLONE_NEWNS), EPERM);
	FAILS(unshare(CLONE_NEWUTS), EPERM);
	FAILS(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	FAILS(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	return 0;
}

TEST(new_namespaces_need_privilege)
{
	EXPECT_EXIT(clone_with(clone_without_privilege, 0, NULL), 0);
}

TEST(invalid_flag_sets)
{
	FAILS(clone(exit_at_once, stack + sizeof stack, CLONE_SIGHAND | SIGCHLD, NULL), EINVAL);
	FAILS(clone(exit_at_once, stack + sizeof stack, CLONE_THREAD | CLONE_VM | SIGCHLD, NULL), EINVAL);
	FAILS(clone(exit_at_once, stack + sizeof stack, CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL), EINVAL);
}

static pid_t parent_tid, child_tid;

static int check_child_tid(void *arg)
{
	(void)arg;
	_exit(child_tid != gettid());
}

TEST(thread_ids_are_written)
{
	pid_t child = OK(clone(check_child_tid, stack + sizeof stack,
			       CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, NULL, &child_tid));
	EXPECT_EXIT(child, 0);
	CHECK_EQ(parent_tid, child);
	CHECK_EQ(child_tid, 0);
}

static int linger(void *arg)
{
	(void)arg;
	sleep_ms(30);
	syscall(SYS_exit, 0);
	return 0;
}

TEST(exit_clears_the_tid_and_wakes_its_futex)
{
	child_tid = 1;
	pid_t tid = OK(clone(linger, stack + sizeof stack,
			     CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID |
				     CLONE_CHILD_SETTID, NULL, NULL, NULL, &child_tid));
	CHECK(tid > 0);
	pid_t seen;
	while ((seen = *(volatile pid_t *)&child_tid) != 0) {
		long woken = syscall(SYS_futex, &child_tid, 0 /* FUTEX_WAIT */, seen, NULL, NULL, 0);
		CHECK(woken == 0 || errno == EAGAIN || errno == EINTR);
	}
	FAILS(syscall(SYS_tgkill, getpid(), tid, 0), ESRCH);
}

TEST(clone3_with_pidfd_and_exit_signal)
{
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGUSR2 };
	signal(SIGUSR2, SIG_IGN);
	pid_t child = (pid_t)OK(syscall(SYS_clone3, &args, sizeof args));
	if (!child)
		_exit(17);
	CHECK(pidfd >= 0);
	CHECK(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	int status;
	FAILS(waitpid(child, &status, 0), ECHILD); /* its exit signal is not SIGCHLD */
	siginfo_t info = { 0 };
	OK(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL));
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, 17);
}

TEST(clone3_checks_its_size)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	char big[256] = { 0 };
	FAILS(syscall(SYS_clone3, &args, 8), EINVAL);
	big[200] = 1;
	FAILS(syscall(SYS_clone3, big, sizeof big), E2BIG);
	args.exit_signal = 200;
	FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL);
}

TEST(parent_flag_makes_a_sibling)
{
	pid_t *sibling = shared_memory(sizeof *sibling);
	pid_t child = IN_CHILD(*sibling = clone(exit_at_once, stack + sizeof stack, CLONE_PARENT, NULL));
	EXPECT_EXIT(child, 0);
	CHECK(*sibling > 0);
	CHECK_EQ(waitpid(*sibling, NULL, __WALL), *sibling);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
