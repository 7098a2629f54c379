/* What is known about files: stat, times, owners, modes and what they permit, extended attributes. */
#include "test.h"
#include <grp.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static struct stat stat_of(const char *path)
{
	struct stat st;
	OK(lstat(path, &st));
	return st;
}

/* Does the body as an ordinary user, in a child. */
#define AS_USER(uid, gid, ...) \
	EXPECT_EXIT(IN_CHILD({ \
			    OK(setgroups(0, NULL)); \
			    OK(setresgid(gid, gid, gid)); \
			    OK(setresuid(uid, uid, uid)); \
			    __VA_ARGS__; \
		    }), \
		    0)

TEST(fields_of_stat)
{
	umask(0);
	int fd = OK(open("file", O_CREAT | O_WRONLY, 0604));
	CHECK_EQ(write(fd, "12345", 5), 5);
	struct stat st = stat_of("file"), dir = stat_of(".");
	CHECK_EQ(st.st_mode, S_IFREG | 0604);
	CHECK(st.st_size == 5 && st.st_nlink == 1 && st.st_uid == 0 && st.st_gid == 0);
	CHECK(st.st_blksize >= 512 && st.st_ino != dir.st_ino && st.st_dev == dir.st_dev);
	struct timespec now;
	OK(clock_gettime(CLOCK_REALTIME, &now));
	CHECK(labs(now.tv_sec - st.st_mtim.tv_sec) < 5);
	FAILS(stat("absent", &st), ENOENT);
	FAILS(fstat(999, &st), EBADF);
}

TEST(statx_gives_what_is_asked)
{
	struct statx x;
	write_file("file", "abc");
	OK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &x));
	CHECK((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	CHECK(x.stx_size == 3 && S_ISREG(x.stx_mode) && x.stx_ino == stat_of("file").st_ino);
	OK(symlink("file", "link"));
	OK(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
	CHECK(S_ISLNK(x.stx_mode));
	OK(statx(OK(open("file", O_RDONLY)), "", AT_EMPTY_PATH, STATX_SIZE, &x));
	CHECK_EQ(x.stx_size, 3);
	FAILS(statx(AT_FDCWD, "file", 0x8000000, STATX_SIZE, &x), EINVAL);
}

TEST(file_system_facts)
{
	struct statfs fs;
	OK(statfs(".", &fs));
	CHECK(fs.f_bsize > 0 && fs.f_namelen == 255);
	OK(statfs("/proc", &fs));
	CHECK_EQ(fs.f_type, 0x9fa0);
	OK(statfs("/dev/shm", &fs));
	CHECK_EQ(fs.f_type, 0x01021994);
}

TEST(times_are_set_and_kept)
{
	struct timespec times[2] = { { 1000000, 123456789 }, { 2000000, 987654321 } };
	write_file("file", "x");
	OK(utimensat(AT_FDCWD, "file", times, 0));
	struct stat st = stat_of("file");
	CHECK(st.st_atim.tv_sec == 1000000 && st.st_atim.tv_nsec == 123456789);
	CHECK(st.st_mtim.tv_sec == 2000000 && st.st_mtim.tv_nsec == 987654321);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "file", times, 0));
	st = stat_of("file");
	CHECK_EQ(st.st_atim.tv_sec, 1000000);
	CHECK(st.st_mtim.tv_sec > 1500000000);
	OK(symlink("file", "link"));
	times[0] = times[1] = (struct timespec){ 5, 0 };
	OK(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	CHECK_EQ(stat_of("link").st_mtim.tv_sec, 5);
	CHECK(stat_of("file").st_mtim.tv_sec != 5);
	times[0].tv_nsec = 1000000000;
	FAILS(utimensat(AT_FDCWD, "file", times, 0), EINVAL);
}

TEST(changes_move_the_times)
{
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	write_file("file", "x");
	OK(utimensat(AT_FDCWD, "file", old, 0));
	struct timespec before = stat_of("file").st_ctim;
	sleep_ms(20);
	OK(chmod("file", 0600));
	struct stat st = stat_of("file");
	CHECK_EQ(st.st_mtim.tv_sec, 1000); /* chmod changes only the change time */
	CHECK(st.st_ctim.tv_sec > before.tv_sec || st.st_ctim.tv_nsec > before.tv_nsec);
	write_file("file", "y");
	CHECK(stat_of("file").st_mtim.tv_sec > 1000);
	OK(mkdir("dir", 0700));
	OK(utimensat(AT_FDCWD, "dir", old, 0));
	write_file("dir/new", "");
	CHECK(stat_of("dir").st_mtim.tv_sec > 1000);
}

TEST(umask_and_modes)
{
	umask(027);
	OK(close(OK(open("file", O_CREAT | O_WRONLY, 0666))));
	CHECK_EQ(stat_of("file").st_mode & 07777, 0640);
	OK(chmod("file", 0777));
	CHECK_EQ(stat_of("file").st_mode & 07777, 0777);
	OK(fchmod(OK(open("file", O_RDONLY)), 04755));
	CHECK_EQ(stat_of("file").st_mode & 07777, 04755);
	OK(symlink("file", "link"));
	OK(chmod("link", 0600));
	CHECK_EQ(stat_of("file").st_mode & 07777, 0600);
	FAILS(chmod("absent", 0600), ENOENT);
}

TEST(owners)
{
	write_file("file", "");
	OK(chmod("file", 06755));
	OK(chown("file", 100, 200));
	struct stat st = stat_of("file");
	CHECK(st.st_uid == 100 && st.st_gid == 200);
	CHECK_EQ(st.st_mode & 07777, 0755); /* a change of owner clears the setuid and setgid bits */
	OK(chown("file", (uid_t)-1, 300));
	st = stat_of("file");
	CHECK(st.st_uid == 100 && st.st_gid == 300);
	OK(symlink("file", "link"));
	OK(lchown("link", 7, 7));
	CHECK_EQ(stat_of("link").st_uid, 7);
	CHECK_EQ(stat_of("file").st_uid, 100);
}

TEST(permissions_for_users)
{
	write_file("private", "x");
	OK(chmod("private", 0600));
	write_file("group", "x");
	OK(chown("group", 0, 50));
	OK(chmod("group", 0640));
	OK(mkdir("shut", 0700));
	write_file("shut/file", "x");
	OK(mkdir("listed", 0744));
	write_file("listed/file", "x");
	OK(chmod(".", 0755));
	AS_USER(1000, 50, {
		FAILS(open("private", O_RDONLY), EACCES);
		OK(open("group", O_RDONLY));
		FAILS(open("group", O_WRONLY), EACCES);
		FAILS(open("shut/file", O_RDONLY), EACCES);
		FAILS(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
		FAILS(unlink("private"), EACCES);
		FAILS(mkdir("newdir", 0700), EACCES);
		FAILS(chmod("group", 0777), EPERM);
		FAILS(chown("group", 1000, 50), EPERM);
		FAILS(chdir("listed"), EACCES); /* may be listed, not searched */
		OK(open("listed", O_RDONLY | O_DIRECTORY));
		FAILS(access("private", R_OK), EACCES);
		OK(access("private", F_OK));
		FAILS(utimensat(AT_FDCWD, "group", NULL, 0), EACCES);
	});
}

TEST(the_owner_class_decides_alone)
{
	write_file("file", "x");
	OK(chown("file", 1000, 1000));
	OK(chmod("file", 0077));
	OK(chmod(".", 0755));
	AS_USER(1000, 1000, FAILS(open("file", O_RDONLY), EACCES));
	AS_USER(1001, 1000, OK(open("file", O_RDWR)));
	OK(open("file", O_RDWR)); /* root may all the same */
}

TEST(sticky_directories)
{
	OK(mkdir("shared", 01777));
	OK(chmod("shared", 01777));
	OK(chmod(".", 0755));
	AS_USER(1000, 1000, write_file("shared/mine", ""));
	AS_USER(1001, 1001, {
		FAILS(unlink("shared/mine"), EPERM);
		FAILS(rename("shared/mine", "shared/yours"), EPERM);
	});
	AS_USER(1000, 1000, OK(unlink("shared/mine")));
}

TEST(setgid_directories_pass_their_group_on)
{
	OK(mkdir("dir", 0777));
	OK(chown("dir", 0, 77));
	OK(chmod("dir", 02777));
	OK(chmod(".", 0755));
	AS_USER(1000, 1000, {
		write_file("dir/file", "");
		OK(mkdir("dir/sub", 0755));
	});
	CHECK_EQ(stat_of("dir/file").st_gid, 77);
	CHECK_EQ(stat_of("dir/sub").st_gid, 77);
	CHECK(stat_of("dir/sub").st_mode & S_ISGID);
	CHECK_EQ(stat_of("dir/file").st_uid, 1000);
}

TEST(writing_clears_setuid)
{
	write_file("file", "x");
	OK(chmod("file", 04777));
	OK(chown("file", 1000, 1000));
	OK(chmod("file", 04777));
	OK(chmod(".", 0755));
	AS_USER(1001, 1001, CHECK_EQ(write(OK(open("file", O_WRONLY)), "y", 1), 1));
	CHECK_EQ(stat_of("file").st_mode & 07777, 0777);
}

TEST(access_uses_the_real_ids)
{
	write_file("file", "x");
	OK(chmod("file", 0600));
	OK(chmod(".", 0755));
	pid_t child = IN_CHILD({
		OK(setresuid(1000, 0, 0));
		FAILS(access("file", R_OK), EACCES);
		OK(faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
		OK(open("file", O_RDONLY));
	});
	EXPECT_EXIT(child, 0);
	FAILS(access("file", 64), EINVAL);
}

TEST(extended_attributes)
{
	char value[20] = "", list[200];
	write_file("file", "");
	if (setxattr("file", "user.colour", "blue", 4, 0) && errno == EOPNOTSUPP)
		return; /* not every file system has them */
	CHECK_EQ(getxattr("file", "user.colour", value, sizeof value), 4);
	CHECK_STR(value, "blue");
	CHECK_EQ(getxattr("file", "user.colour", NULL, 0), 4);
	FAILS(getxattr("file", "user.colour", value, 2), ERANGE);
	FAILS(getxattr("file", "user.absent", value, sizeof value), ENODATA);
	FAILS(setxattr("file", "user.colour", "red", 3, XATTR_CREATE), EEXIST);
	FAILS(setxattr("file", "user.size", "xl", 2, XATTR_REPLACE), ENODATA);
	OK(setxattr("file", "user.size", "xl", 2, 0));
	ssize_t len = OK(listxattr("file", list, sizeof list));
	CHECK(memmem(list, (size_t)len, "user.colour", 12) && memmem(list, (size_t)len, "user.size", 10));
	OK(removexattr("file", "user.colour"));
	FAILS(removexattr("file", "user.colour"), ENODATA);
	FAILS(setxattr("file", "nonsense", "x", 1, 0), EOPNOTSUPP);
}

TEST(special_files)
{
	OK(mkfifo("fifo", 0640));
	CHECK(S_ISFIFO(stat_of("fifo").st_mode));
	FAILS(mkfifo("fifo", 0600), EEXIST);
	OK(mknod("regular", S_IFREG | 0600, 0));
	CHECK(S_ISREG(stat_of("regular").st_mode));
	FAILS(mknod("bad", S_IFDIR | 0600, 0), EPERM);
	OK(chmod(".", 0777));
	AS_USER(1000, 1000, FAILS(mknod("device", S_IFCHR | 0600, 0x103), EPERM));
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
