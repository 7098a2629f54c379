/* User and group ids, supplementary groups, capabilities. */
#include "test.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct __user_cap_data_struct caps[2];

static void get_caps(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	OK(syscall(SYS_capget, &header, caps));
}

static int set_caps(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	return (int)syscall(SYS_capset, &header, caps);
}

static int is_effective(int cap)
{
	get_caps();
	return (caps[cap / 32].effective >> cap % 32) & 1;
}

TEST(real_effective_and_saved_ids)
{
	uid_t r, e, s;
	pid_t child = IN_CHILD({
		OK(setresuid(1000, 1001, 1002));
		OK(getresuid(&r, &e, &s));
		CHECK(r == 1000 && e == 1001 && s == 1002);
		CHECK(getuid() == 1000 && geteuid() == 1001);
		FAILS(setresuid(5, -1, -1), EPERM);
		OK(setresuid(-1, 1002, -1));
		OK(setreuid(1002, -1)); /* the saved one follows as well */
		OK(getresuid(&r, &e, &s));
		CHECK(r == 1002 && e == 1002 && s == 1002);
		FAILS(setuid(0), EPERM);
	});
	EXPECT_EXIT(child, 0);
}

TEST(setuid_of_root_sets_all)
{
	uid_t r, e, s;
	pid_t child = IN_CHILD({
		OK(setgid(7));
		OK(setuid(1000));
		OK(getresuid(&r, &e, &s));
		CHECK(r == 1000 && e == 1000 && s == 1000);
		FAILS(setgid(0), EPERM);
		CHECK_EQ(setfsuid(5), 1000);
		CHECK_EQ(setfsuid(5), 1000); /* was not allowed */
	});
	EXPECT_EXIT(child, 0);
}

TEST(supplementary_groups)
{
	gid_t groups[3] = { 10, 20, 30 }, got[8];
	pid_t child = IN_CHILD({
		OK(setgroups(3, groups));
		CHECK_EQ(getgroups(0, NULL), 3);
		CHECK_EQ(getgroups(8, got), 3);
		CHECK(got[0] == 10 && got[2] == 30);
		FAILS(getgroups(2, got), EINVAL);
		OK(setuid(1000));
		FAILS(setgroups(0, NULL), EPERM);
	});
	EXPECT_EXIT(child, 0);
}

TEST(dropping_root_drops_capabilities)
{
	CHECK(is_effective(CAP_CHOWN));
	pid_t child = IN_CHILD({
		OK(seteuid(1000));
		CHECK(!is_effective(CAP_CHOWN));
		CHECK(caps[0].permitted & 1 << CAP_CHOWN);
		OK(seteuid(0));
		CHECK(is_effective(CAP_CHOWN));
		OK(setuid(1000));
		get_caps();
		CHECK(!caps[0].permitted && !caps[0].effective);
	});
	EXPECT_EXIT(child, 0);
}

TEST(keeping_capabilities)
{
	int fd = OK(open("file", O_CREAT | O_WRONLY, 0600));
	pid_t child = IN_CHILD({
		OK(prctl(PR_SET_KEEPCAPS, 1));
		OK(setuid(1000));
		CHECK(!is_effective(CAP_CHOWN));
		CHECK(caps[0].permitted & 1 << CAP_CHOWN);
		caps[0].effective = 1 << CAP_CHOWN;
		OK(set_caps());
		CHECK(is_effective(CAP_CHOWN));
		OK(fchown(fd, 1234, 1234));
	});
	EXPECT_EXIT(child, 0);
}

TEST(a_dropped_capability_is_gone)
{
	write_file("file", "");
	pid_t child = IN_CHILD({
		get_caps();
		caps[0].effective &= ~(1u << CAP_CHOWN);
		OK(set_caps());
		FAILS(chown("file", 1, 1), EPERM);
		caps[0].permitted &= ~(1u << CAP_CHOWN);
		caps[0].inheritable &= ~(1u << CAP_CHOWN);
		OK(set_caps());
		caps[0].permitted |= 1u << CAP_CHOWN;
		FAILS(set_caps(), EPERM);
	});
	EXPECT_EXIT(child, 0);
	OK(chown("file", 1, 1));
}

TEST(bounding_and_ambient_sets)
{
	pid_t child = IN_CHILD({
		CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
		OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
		CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
		FAILS(prctl(PR_CAPBSET_READ, 1000), EINVAL);
		FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);
		get_caps();
		caps[0].inheritable |= 1 << CAP_KILL;
		OK(set_caps());
		OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
		CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
		OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
		CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
	});
	EXPECT_EXIT(child, 0);
}

TEST(setuid_programs)
{
	char buffer[65536];
	int from = OK(open("/bin/sleep", O_RDONLY)), to = OK(open("prog", O_WRONLY | O_CREAT, 0755));
	for (ssize_t n; (n = OK(read(from, buffer, sizeof buffer))) > 0;)
		CHECK_EQ(write(to, buffer, (size_t)n), n);
	OK(close(to));
	OK(chown("prog", 1234, 55));
	OK(chmod("prog", 06755));
	OK(chmod(".", 0755));
	pid_t child = IN_CHILD({
		OK(setgid(1000));
		OK(setuid(1000));
		execl("./prog", "prog", "5", NULL);
	});
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/status", child);
	WAIT_FOR(strstr(read_file(path), "Name:\tprog"));
	const char *status = read_file(path);
	/* A mount with nosuid ignores the bits, as tests on some file systems find. */
	int effective = strstr(status, "Uid:\t1000\t1234\t1234\t1234") && strstr(status, "Gid:\t1000\t55\t55\t55");
	int ignored = strstr(status, "Uid:\t1000\t1000\t1000\t1000") != NULL;
	CHECK(effective || ignored);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

TEST(no_new_privileges)
{
	pid_t child = IN_CHILD({
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
		OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
		pid_t grandchild = IN_CHILD(_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
		EXPECT_EXIT(grandchild, 1);
	});
	EXPECT_EXIT(child, 0);
}

TEST(signalling_others)
{
	pid_t target = IN_CHILD({
		setuid(1001);
		pause();
	});
	WAIT_FOR(is_asleep(target));
	pid_t child = IN_CHILD({
		OK(setuid(1000));
		FAILS(kill(target, SIGTERM), EPERM);
		FAILS(kill(1, SIGTERM), EPERM);
	});
	EXPECT_EXIT(child, 0);
	child = IN_CHILD({
		OK(setuid(1001));
		OK(kill(target, SIGTERM));
	});
	EXPECT_EXIT(child, 0);
	EXPECT_KILLED(target, SIGTERM);
}

TEST(what_users_may_not_do)
{
	pid_t child = IN_CHILD({
		OK(setuid(1000));
		FAILS(sethostname("x", 1), EPERM);
		FAILS(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
		FAILS(chroot("/"), EPERM);
		FAILS(setpriority(PRIO_PROCESS, 0, -5), EACCES);
		FAILS(clock_settime(CLOCK_REALTIME, &(struct timespec){ 1, 0 }), EPERM);
	});
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
