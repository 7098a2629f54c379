/* The tree of names: links, renames, directories, path walks. */
#include "test.h"
#include <dirent.h>
#include <linux/openat2.h>

static int exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static struct stat stat_of(const char *path)
{
	struct stat st;
	OK(lstat(path, &st));
	return st;
}

TEST(hard_links)
{
	write_file("one", "text");
	OK(link("one", "two"));
	CHECK_EQ(stat_of("one").st_nlink, 2);
	CHECK_EQ(stat_of("one").st_ino, stat_of("two").st_ino);
	FAILS(link("one", "two"), EEXIST);
	FAILS(link("absent", "three"), ENOENT);
	OK(mkdir("dir", 0700));
	FAILS(link("dir", "dir2"), EPERM);
	OK(unlink("one"));
	CHECK_EQ(stat_of("two").st_nlink, 1);
	CHECK_STR(read_file("two"), "text");
	OK(symlink("two", "symbolic"));
	OK(link("symbolic", "symbolic2")); /* links the symbolic link itself */
	CHECK(S_ISLNK(stat_of("symbolic2").st_mode));
}

TEST(symbolic_links)
{
	char text[20] = "";
	write_file("file", "x");
	OK(symlink("file", "link"));
	CHECK_EQ(readlink("link", text, sizeof text), 4);
	CHECK_STR(text, "file");
	CHECK_EQ(readlink("link", text, 2), 2); /* cut off, without an error */
	CHECK_EQ(stat_of("link").st_size, 4);
	FAILS(readlink("file", text, sizeof text), EINVAL);
	FAILS(symlink("a", "link"), EEXIST);
	FAILS(symlink("", "empty"), ENOENT);
	OK(symlink("loop2", "loop1"));
	OK(symlink("loop1", "loop2"));
	FAILS(open("loop1", O_RDONLY), ELOOP);
	OK(mkdir("dir", 0700));
	OK(symlink("../file", "dir/up"));
	CHECK_STR(read_file("dir/up"), "x");
	OK(symlink("dir", "dirlink"));
	CHECK(exists("dirlink/up"));
	FAILS(unlink("dirlink/"), ENOTDIR);
	FAILS(rmdir("dirlink"), ENOTDIR);
	char name[10];
	strcpy(name, "c0");
	OK(symlink("file", name));
	for (char next[10]; name[1] < '0' + 41; strcpy(name, next)) {
		snprintf(next, sizeof next, "c%c", name[1] + 1);
		OK(symlink(name, next));
	}
	OK(open((char[]){ 'c', '0' + 39, 0 }, O_RDONLY)); /* 40 links in a row are followed */
	FAILS(open((char[]){ 'c', '0' + 40, 0 }, O_RDONLY), ELOOP);
}

TEST(renaming)
{
	write_file("a", "A");
	write_file("b", "B");
	OK(rename("a", "b")); /* replaces */
	CHECK(!exists("a"));
	CHECK_STR(read_file("b"), "A");
	OK(mkdir("full", 0700));
	OK(mkdir("empty", 0700));
	write_file("full/x", "x");
	FAILS(rename("b", "empty"), EISDIR);
	FAILS(rename("empty", "b"), ENOTDIR);
	FAILS(rename("empty", "full"), ENOTEMPTY);
	OK(rename("full", "empty"));
	CHECK_STR(read_file("empty/x"), "x");
	FAILS(rename("empty", "empty/below"), EINVAL);
	FAILS(rename("absent", "y"), ENOENT);
	OK(link("b", "c"));
	OK(rename("b", "c")); /* the same file: nothing happens */
	CHECK(exists("b") && exists("c"));
	OK(mkdir("d", 0700));
	OK(rename("empty", "d/moved"));
	CHECK_STR(read_file("d/moved/../moved/x"), "x");
	FAILS(rename(".", "x"), EBUSY);
}

TEST(flags_of_renameat2)
{
	write_file("a", "A");
	write_file("b", "B");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	OK(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
	CHECK_STR(read_file("b"), "A");
	CHECK_STR(read_file("c"), "B");
	FAILS(renameat2(AT_FDCWD, "c", AT_FDCWD, "absent", RENAME_EXCHANGE), ENOENT);
	FAILS(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
}

TEST(making_and_removing_directories)
{
	umask(022);
	OK(mkdir("dir", 0777));
	CHECK_EQ(stat_of("dir").st_mode, S_IFDIR | 0755);
	CHECK_EQ(stat_of("dir").st_nlink, 2);
	FAILS(mkdir("dir", 0700), EEXIST);
	FAILS(mkdir("absent/x", 0700), ENOENT);
	OK(mkdir("dir/sub/", 0700));
	CHECK_EQ(stat_of("dir").st_nlink, 3);
	FAILS(rmdir("dir"), ENOTEMPTY);
	FAILS(unlink("dir/sub"), EISDIR);
	OK(rmdir("dir/sub"));
	FAILS(rmdir("dir/."), EINVAL);
	OK(rmdir("dir"));
	FAILS(rmdir("dir"), ENOENT);
	write_file("file", "");
	FAILS(rmdir("file"), ENOTDIR);
	FAILS(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR), ENOTDIR);
	FAILS(mkdir("file/x", 0700), ENOTDIR);
}

TEST(a_removed_working_directory)
{
	char here[300];
	OK(mkdir("gone", 0700));
	OK(chdir("gone"));
	OK(rmdir("../gone"));
	FAILS(open("file", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK(getcwd(here, sizeof here) == NULL && errno == ENOENT);
	OK(chdir(".."));
}

TEST(getcwd_follows_renames)
{
	char here[300];
	OK(mkdir("before", 0700));
	OK(chdir("before"));
	OK(rename("../before", "../after"));
	CHECK(getcwd(here, sizeof here));
	CHECK_STR(strrchr(here, '/'), "/after");
	CHECK(getcwd(here, 2) == NULL && errno == ERANGE);
	FAILS(chdir("absent"), ENOENT);
	write_file("file", "");
	FAILS(chdir("file"), ENOTDIR);
}

TEST(listing_directories)
{
	enum { FILES = 500 };
	char name[20], seen[FILES] = { 0 };
	int dots = 0, others = 0;
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "f%03d", i);
		OK(close(OK(open(name, O_CREAT | O_WRONLY, 0600))));
	}
	OK(mkdir("directory", 0700));
	OK(symlink("x", "symbolic"));
	DIR *dir = opendir(".");
	CHECK(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		CHECK_EQ(e->d_ino, stat_of(e->d_name).st_ino);
		if (e->d_name[0] == '.')
			dots++;
		else if (e->d_name[0] == 'f') {
			CHECK_EQ(e->d_type, DT_REG);
			seen[atoi(e->d_name + 1)]++;
		} else {
			CHECK_EQ(e->d_type, e->d_name[0] == 'd' ? DT_DIR : DT_LNK);
			others++;
		}
	}
	CHECK(dots == 2 && others == 2);
	for (int i = 0; i < FILES; i++)
		CHECK_EQ(seen[i], 1);
	rewinddir(dir);
	int first = 0, again = 0;
	while (first < 100 && readdir(dir))
		first++;
	long place = telldir(dir);
	CHECK(readdir(dir));
	seekdir(dir, place);
	while (readdir(dir))
		again++;
	CHECK_EQ(first + again, FILES + 4);
	closedir(dir);
}

TEST(removing_while_listing)
{
	char name[20];
	int left = 0;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "f%d", i);
		OK(close(OK(open(name, O_CREAT | O_WRONLY, 0600))));
	}
	DIR *dir = opendir(".");
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] == 'f')
			OK(unlink(e->d_name));
	rewinddir(dir);
	while (readdir(dir))
		left++;
	CHECK_EQ(left, 2);
}

TEST(small_buffers_for_getdents)
{
	char buffer[10];
	FAILS(syscall(SYS_getdents64, OK(open(".", O_RDONLY)), buffer, sizeof buffer), EINVAL);
	write_file("file", "");
	FAILS(syscall(SYS_getdents64, OK(open("file", O_RDONLY)), buffer, sizeof buffer), ENOTDIR);
}

TEST(calls_relative_to_a_directory)
{
	struct stat st;
	OK(mkdir("dir", 0700));
	int dir = OK(open("dir", O_RDONLY | O_DIRECTORY));
	OK(close(OK(openat(dir, "file", O_CREAT | O_WRONLY, 0600))));
	CHECK(exists("dir/file"));
	OK(mkdirat(dir, "sub", 0700));
	OK(symlinkat("file", dir, "link"));
	OK(linkat(dir, "file", AT_FDCWD, "hard", 0));
	OK(renameat(dir, "file", dir, "renamed"));
	OK(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(st.st_mode));
	FAILS(fstatat(dir, "link", &st, 0), ENOENT);
	OK(unlinkat(dir, "renamed", 0));
	OK(unlinkat(dir, "sub", AT_REMOVEDIR));
	FAILS(openat(999, "x", O_RDONLY), EBADF);
	OK(openat(999, "/", O_RDONLY)); /* an absolute path needs no directory */
	FAILS(openat(OK(open("hard", O_RDONLY)), "x", O_RDONLY), ENOTDIR);
	OK(rename("dir", "elsewhere"));
	OK(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW));
}

TEST(path_walks)
{
	OK(mkdir("d", 0700));
	write_file("d/f", "");
	CHECK(exists("./d//.///f"));
	CHECK(exists("d/../d/f"));
	FAILS(open("d/f/", O_RDONLY), ENOTDIR);
	FAILS(open("d/f/..", O_RDONLY), ENOTDIR);
	FAILS(open("d/new/", O_CREAT | O_WRONLY, 0600), EISDIR);
	CHECK_EQ(stat_of("/..").st_ino, stat_of("/").st_ino);
	static char path[5000];
	memset(path, '/', sizeof path - 1);
	FAILS(open(path, O_RDONLY), ENAMETOOLONG);
	path[4095] = 0;
	OK(open(path, O_RDONLY));
}

static long openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

TEST(openat2_keeps_inside)
{
	OK(mkdir("root", 0700));
	write_file("root/file", "in");
	write_file("file", "out");
	OK(symlink("../file", "root/up"));
	OK(symlink("/file", "root/absolute"));
	OK(symlink("file", "root/plain"));
	int root = OK(open("root", O_PATH | O_DIRECTORY));
	FAILS(openat2(root, "../file", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(openat2(root, "up", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(openat2(root, "absolute", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(openat2(root, "plain", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
	char text[4] = "";
	CHECK_EQ(read((int)OK(openat2(root, "up", O_RDONLY, RESOLVE_IN_ROOT)), text, 3), 2);
	CHECK_STR(text, "in");
	CHECK_EQ(read((int)OK(openat2(root, "absolute", O_RDONLY, RESOLVE_IN_ROOT)), text, 3), 2);
	FAILS(openat2(root, "file", O_RDONLY, 1 << 20), EINVAL);
	FAILS(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS), ELOOP);
}

TEST(changing_the_root)
{
	OK(mkdir("jail", 0755));
	OK(mkdir("jail/inner", 0755));
	write_file("jail/inside", "yes");
	pid_t child = IN_CHILD({
		OK(chroot("jail"));
		OK(chdir("/"));
		CHECK_STR(read_file("/inside"), "yes");
		CHECK_STR(read_file("../../inside"), "yes");
		char here[100];
		OK(chdir("inner"));
		CHECK(getcwd(here, sizeof here));
		CHECK_STR(here, "/inner");
	});
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
