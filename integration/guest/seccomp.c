/* seccomp(2): filters, strict mode, and how tasks come to have them. */
#include "test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>

#define DATA(field) offsetof(struct seccomp_data, field)
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static long seccomp(unsigned int operation, unsigned int flags, void *args)
{
	return syscall(SYS_seccomp, operation, flags, args);
}

static long install(unsigned int flags, struct sock_filter *filter, size_t len)
{
	struct sock_fprog program = { len, filter };
	return seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A filter that gives `action` to the call `number`, and allows the others. */
static long install_for(unsigned int flags, int number, unsigned int action)
{
	struct sock_filter filter[] = {
		LOAD(DATA(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		RETURN(action),
		RETURN(SECCOMP_RET_ALLOW),
	};
	return install(flags, filter, LENGTH(filter));
}

static void no_new_privs(void)
{
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* The number behind a word of /proc/self/status. */
static long status_of(const char *word)
{
	char line[256];
	long value = -1;
	FILE *status = fopen("/proc/thread-self/status", "r");
	CHECK(status);
	while (fgets(line, sizeof line, status))
		if (!strncmp(line, word, strlen(word)) && line[strlen(word)] == ':')
			value = atol(line + strlen(word) + 1);
	fclose(status);
	return value;
}

/* Runs `child` in a process of its own, and returns how that ended. */
static int status_after(void (*child)(void))
{
	int status;
	pid_t pid = OK(fork());
	if (!pid) {
		child();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

TEST(errno_and_allow)
{
	no_new_privs();
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	CHECK_EQ(status_of("Seccomp"), 0);
	OK(install_for(0, SYS_getppid, ERRNO(ENODATA)));
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
	CHECK_EQ(status_of("Seccomp"), 2);
	CHECK_EQ(status_of("Seccomp_filters"), 1);
	CHECK_EQ(status_of("NoNewPrivs"), 1);
	for (int i = 0; i < 3; i++) {
		FAILS(syscall(SYS_getppid), ENODATA);
		CHECK_EQ(syscall(SYS_getpid), getpid());
	}
	OK(install_for(0, SYS_getpid, ERRNO(0)));
	CHECK_EQ(syscall(SYS_getpid), 0);
	CHECK_EQ(status_of("Seccomp_filters"), 2);
}

TEST(an_error_number_has_a_bound)
{
	no_new_privs();
	OK(install_for(0, SYS_getppid, ERRNO(0xffff)));
	FAILS(syscall(SYS_getppid), 4095);
}

TEST(prctl_installs_too)
{
	struct sock_filter filter[] = { RETURN(SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, filter };
	no_new_privs();
	OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
	FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_SECCOMP, 3, &program, 0, 0), EINVAL);
}

TEST(arguments_are_seen)
{
	/* getpriority(which, who): refused for which 1 and who above 4 GiB, or of an odd `which`. */
	struct sock_filter filter[] = {
		LOAD(DATA(arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(DATA(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 5),
		LOAD(DATA(args[1]) + 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0, 2, 0),
		LOAD(DATA(args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		RETURN(ERRNO(ENODATA)),
		RETURN(SECCOMP_RET_ALLOW),
	};
	no_new_privs();
	OK(install(0, filter, LENGTH(filter)));
	OK(syscall(SYS_getpriority, 0, 0));
	FAILS(syscall(SYS_getpriority, 1, 0), ENODATA);
	FAILS(syscall(SYS_getpriority, 0, 1UL << 32), ENODATA);
	OK(syscall(SYS_getpriority, 2, 0));
}

TEST(the_last_filter_gives_the_data_and_the_strictest_counts)
{
	no_new_privs();
	OK(install_for(0, SYS_getppid, ERRNO(1)));
	OK(install_for(0, SYS_getppid, ERRNO(2)));
	FAILS(syscall(SYS_getppid), 2);
	OK(install_for(0, SYS_getppid, SECCOMP_RET_LOG));
	FAILS(syscall(SYS_getppid), 2);
}

static void dies_by_filter(void)
{
	signal(SIGSYS, SIG_IGN);
	install_for(0, SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
}

static void dies_by_unknown_action(void)
{
	install_for(0, SYS_getppid, 0x12340000);
	syscall(SYS_getppid);
}

static void *call_getppid(void *unused)
{
	syscall(SYS_getppid);
	return unused;
}

static void thread_dies(void)
{
	pthread_t thread;
	int tid;
	install_for(0, SYS_getppid, SECCOMP_RET_KILL_THREAD);
	if (pthread_create(&thread, NULL, call_getppid, NULL))
		_exit(1);
	/* Its id is cleared as of any thread that ends. */
	tid = pthread_join(thread, NULL);
	_exit(tid ? 2 : 42);
}

static void last_thread_dies(void)
{
	install_for(0, SYS_getppid, SECCOMP_RET_KILL_THREAD);
	syscall(SYS_getppid);
}

TEST(kill_process)
{
	no_new_privs();
	int status = status_after(dies_by_filter);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
	status = status_after(dies_by_unknown_action);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
}

TEST(kill_thread)
{
	no_new_privs();
	int status = status_after(last_thread_dies);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
	status = status_after(thread_dies);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
}

static siginfo_t trapped;

static void on_trap(int signal, siginfo_t *info, void *raw)
{
	ucontext_t *context = raw;
	(void)signal;
	trapped = *info;
	if (context->uc_mcontext.gregs[REG_RAX] == SYS_getppid)
		context->uc_mcontext.gregs[REG_RAX] = 4711;
}

TEST(trap)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	no_new_privs();
	OK(sigaction(SIGSYS, &action, NULL));
	OK(install_for(0, SYS_getppid, SECCOMP_RET_TRAP | 17));
	CHECK_EQ(syscall(SYS_getppid), 4711);
	CHECK_EQ(trapped.si_signo, SIGSYS);
	CHECK_EQ(trapped.si_code, 1);
	CHECK_EQ(trapped.si_errno, 17);
	CHECK_EQ(trapped.si_syscall, SYS_getppid);
	CHECK_EQ(trapped.si_arch, AUDIT_ARCH_X86_64);
	CHECK(trapped.si_call_addr);
}

static void trap_without_handler(void)
{
	signal(SIGSYS, SIG_IGN);
	install_for(0, SYS_getppid, SECCOMP_RET_TRAP);
	syscall(SYS_getppid);
}

TEST(a_trap_cannot_be_ignored)
{
	no_new_privs();
	int status = status_after(trap_without_handler);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
}

TEST(without_a_tracer_the_call_is_missing)
{
	no_new_privs();
	OK(install_for(0, SYS_getppid, SECCOMP_RET_TRACE));
	FAILS(syscall(SYS_getppid), ENOSYS);
	OK(install_for(0, SYS_getpgrp, SECCOMP_RET_USER_NOTIF));
	FAILS(syscall(SYS_getpgrp), ENOSYS);
}

TEST(log_allows)
{
	no_new_privs();
	OK(install_for(SECCOMP_FILTER_FLAG_LOG, SYS_getppid, SECCOMP_RET_LOG));
	CHECK_EQ(syscall(SYS_getppid), getppid());
}

TEST(privileges_are_needed)
{
	OK(setresuid(65534, 65534, 65534));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	FAILS(install_for(0, SYS_getppid, ERRNO(1)), EACCES);
	no_new_privs();
	OK(install_for(0, SYS_getppid, ERRNO(1)));
}

TEST(bad_calls)
{
	struct sock_filter bad[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RETURN(0) };
	struct sock_filter half[] = { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RETURN(0) };
	struct sock_filter unwritten[] = { BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(0) };
	struct sock_filter endless[] = { BPF_STMT(BPF_JMP | BPF_JA, -1), RETURN(0) };
	struct sock_filter no_end[] = { BPF_STMT(BPF_LD | BPF_IMM, 0) };
	static struct sock_filter many[4097];
	struct sock_fprog unmapped = { 1, (void *)8 };
	no_new_privs();
	FAILS(install(0, bad, 2), EINVAL);
	FAILS(install(0, half, 2), EINVAL);
	FAILS(install(0, unwritten, 2), EINVAL);
	FAILS(install(0, endless, 2), EINVAL);
	FAILS(install(0, no_end, 1), EINVAL);
	FAILS(install(0, bad, 0), EINVAL);
	FAILS(install(0, many, 4097), EINVAL);
	FAILS(install(1 << 20, bad + 1, 1), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &unmapped), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 0, bad), EINVAL);
	FAILS(seccomp(99, 0, NULL), EINVAL);
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
}

TEST(instructions_have_a_bound_in_all)
{
	static struct sock_filter many[4096];
	for (size_t i = 0; i < LENGTH(many); i++)
		many[i] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	no_new_privs();
	/* Linux counts its own form of them, which has more. */
	int installed = 0;
	while (!install(0, many, LENGTH(many)))
		CHECK(++installed < 64);
	CHECK_EQ(errno, ENOMEM);
	CHECK(installed > 0);
}

TEST(actions)
{
	const uint32_t known[] = { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,
				   SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW };
	uint32_t unknown = 0x12340000;
	for (size_t i = 0; i < LENGTH(known); i++) {
		uint32_t action = known[i];
		OK(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	}
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &unknown), EINVAL);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, NULL), EFAULT);
}

static void strict_and_well(void)
{
	char byte;
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	syscall(SYS_read, -1, &byte, 1);
	syscall(SYS_write, -1, &byte, 1);
	syscall(SYS_exit, 7);
}

static void strict_and_not(void)
{
	signal(SIGSYS, SIG_IGN);
	seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL);
	syscall(SYS_getpid);
}

TEST(strict_mode)
{
	int status = status_after(strict_and_well);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 7);
	status = status_after(strict_and_not);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

TEST(children_and_programs_keep_it)
{
	no_new_privs();
	OK(install_for(0, SYS_getppid, ERRNO(ENODATA)));
	pid_t pid = OK(fork());
	if (!pid) {
		FAILS(syscall(SYS_getppid), ENODATA);
		char *args[] = { "sh", "-c", "while read a b; do test \"$a\" = Seccomp: && exit $b; done </proc/self/status", NULL };
		execv("/bin/sh", args);
		_exit(99);
	}
	EXPECT_EXIT(pid, 2);
}

/* A thread that has `own` filters before it says so, and tells later which filters it has. */
struct peer {
	pthread_barrier_t ready, go;
	int own;
	long value, error, privs;
};

static void *be_peer(void *raw)
{
	struct peer *peer = raw;
	if (peer->own)
		install_for(0, SYS_getpgrp, ERRNO(1));
	pthread_barrier_wait(&peer->ready);
	pthread_barrier_wait(&peer->go);
	errno = 0;
	peer->value = syscall(SYS_getppid);
	peer->error = errno;
	peer->privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	return NULL;
}

static pthread_t start_peer(struct peer *peer)
{
	pthread_t thread;
	CHECK(!pthread_barrier_init(&peer->ready, NULL, 2));
	CHECK(!pthread_barrier_init(&peer->go, NULL, 2));
	CHECK(!pthread_create(&thread, NULL, be_peer, peer));
	pthread_barrier_wait(&peer->ready);
	return thread;
}

static void end_peer(struct peer *peer, pthread_t thread)
{
	pthread_barrier_wait(&peer->go);
	pthread_join(thread, NULL);
}

TEST(only_the_caller_has_it)
{
	struct peer peer = { .own = 0 };
	pthread_t thread = start_peer(&peer);
	no_new_privs();
	OK(install_for(0, SYS_getppid, ERRNO(ENODATA)));
	FAILS(syscall(SYS_getppid), ENODATA);
	end_peer(&peer, thread);
	CHECK(peer.value >= 0);
	CHECK_EQ(peer.privs, 0);
}

TEST(all_threads_are_given_it)
{
	struct peer peer = { .own = 0 };
	pthread_t thread = start_peer(&peer);
	no_new_privs();
	CHECK_EQ(install_for(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(ENODATA)), 0);
	end_peer(&peer, thread);
	CHECK_EQ(peer.value, -1);
	CHECK_EQ(peer.error, ENODATA);
	CHECK_EQ(peer.privs, 1);
}

TEST(a_thread_with_other_filters_is_in_the_way)
{
	struct peer peer = { .own = 1 };
	no_new_privs();
	pthread_t thread = start_peer(&peer);
	CHECK(install_for(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(ENODATA)) > 0);
	FAILS(install_for(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SYS_getppid, ERRNO(1)), ESRCH);
	/* Nothing has changed. */
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	end_peer(&peer, thread);
	CHECK(peer.value >= 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
