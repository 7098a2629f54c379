/* mount_namespaces(7) and uts_namespaces(7), by clone(2), clone3(2) and unshare(2). Needs CAP_SYS_ADMIN. */
#include "test.h"
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/utsname.h>

static char stack[64 << 10] __attribute__((aligned(16)));

static pid_t in_child(int (*fn)(void *), int flags, void *arg)
{
	return OK(clone(fn, stack + sizeof stack, flags | SIGCHLD, arg));
}

static int change_host_name(void *arg)
{
	struct utsname names;
	(void)arg;
	OK(sethostname("changed", 7));
	OK(uname(&names));
	_exit(strcmp(names.nodename, "changed") != 0);
}

static int unshare_and_change_host_name(void *arg)
{
	OK(unshare(CLONE_NEWUTS));
	return change_host_name(arg);
}

TEST(a_new_uts_namespace_has_names_of_its_own)
{
	struct utsname before, after;
	OK(uname(&before));
	EXPECT_EXIT(in_child(change_host_name, CLONE_NEWUTS, NULL), 0);
	EXPECT_EXIT(in_child(unshare_and_change_host_name, 0, NULL), 0);
	struct clone_args args = { .flags = CLONE_NEWUTS, .exit_signal = SIGCHLD };
	pid_t child = OK(syscall(SYS_clone3, &args, sizeof args));
	if (child == 0)
		change_host_name(NULL);
	EXPECT_EXIT(child, 0);
	OK(uname(&after));
	CHECK(strcmp(before.nodename, after.nodename) == 0);
}

static int mount_here(void *arg)
{
	(void)arg;
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	OK(mount("none", "mounted", "tmpfs", 0, NULL));
	OK(close(OK(open("mounted/file", O_CREAT | O_WRONLY, 0600))));
	return 0;
}

TEST(a_new_mount_namespace_has_mounts_of_its_own)
{
	OK(mkdir("mounted", 0700));
	EXPECT_EXIT(in_child(mount_here, CLONE_NEWNS, NULL), 0);
	FAILS(access("mounted/file", F_OK), ENOENT);
	OK(rmdir("mounted"));
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
