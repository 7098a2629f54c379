/* Open files: flags, offsets, holes, descriptors, vectors, and moving data between files. */
#include "test.h"
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static struct stat stat_of(const char *path)
{
	struct stat st;
	OK(lstat(path, &st));
	return st;
}

TEST(flags_of_open)
{
	FAILS(open("new", O_RDWR), ENOENT);
	int fd = OK(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
	CHECK_EQ(stat_of("new").st_mode, S_IFREG | 0640);
	FAILS(open("new", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	OK(open("new", O_RDONLY | O_CREAT, 0600)); /* leaves it as it is */
	CHECK_EQ(stat_of("new").st_size, 10);
	OK(open("new", O_WRONLY | O_TRUNC));
	CHECK_EQ(stat_of("new").st_size, 0);
	FAILS(open(".", O_WRONLY), EISDIR);
	FAILS(open("new", O_DIRECTORY), ENOTDIR);
	FAILS(open("new/x", O_RDONLY), ENOTDIR);
	OK(symlink("new", "link"));
	FAILS(open("link", O_NOFOLLOW), ELOOP);
	FAILS(open("link", O_CREAT | O_EXCL, 0600), EEXIST);
	OK(symlink("absent", "dangling"));
	OK(open("dangling", O_CREAT | O_WRONLY, 0600)); /* makes the file that it points at */
	CHECK(S_ISREG(stat_of("absent").st_mode));
	FAILS(open("", O_RDONLY), ENOENT);
	char longest[300];
	memset(longest, 'n', sizeof longest);
	longest[256] = 0;
	FAILS(open(longest, O_CREAT, 0600), ENAMETOOLONG);
	longest[255] = 0;
	OK(open(longest, O_CREAT, 0600));
}

TEST(access_modes)
{
	char c;
	write_file("file", "x");
	FAILS(write(OK(open("file", O_RDONLY)), "y", 1), EBADF);
	FAILS(read(OK(open("file", O_WRONLY)), &c, 1), EBADF);
	FAILS(read(OK(open(".", O_RDONLY)), &c, 1), EISDIR);
	FAILS(read(999, &c, 1), EBADF);
	FAILS(ftruncate(OK(open("file", O_RDONLY)), 0), EINVAL);
}

TEST(append_always_writes_at_the_end)
{
	int one = OK(open("file", O_WRONLY | O_CREAT | O_APPEND, 0600)), two = OK(open("file", O_WRONLY | O_APPEND));
	CHECK_EQ(write(one, "aa", 2), 2);
	CHECK_EQ(write(two, "bb", 2), 2);
	OK(lseek(one, 0, SEEK_SET));
	CHECK_EQ(write(one, "cc", 2), 2);
	CHECK_EQ(lseek(one, 0, SEEK_CUR), 6);
	CHECK_EQ(pwrite(one, "dd", 2, 0), 2); /* as documented in pwrite(2): appends all the same */
	CHECK_STR(read_file("file"), "aabbccdd");
	int flags = OK(fcntl(one, F_GETFL));
	CHECK(flags & O_APPEND);
	OK(fcntl(one, F_SETFL, flags & ~O_APPEND));
	CHECK_EQ(pwrite(one, "X", 1, 0), 1);
	CHECK_STR(read_file("file"), "Xabbccdd");
}

TEST(many_appenders_do_not_mix)
{
	enum { WRITERS = 4, LINES = 50 };
	pid_t children[WRITERS];
	for (int i = 0; i < WRITERS; i++)
		children[i] = IN_CHILD({
			int fd = OK(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
			char line[21];
			memset(line, 'a' + i, 20);
			line[19] = '\n';
			for (int k = 0; k < LINES; k++)
				CHECK_EQ(write(fd, line, 20), 20);
		});
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EXIT(children[i], 0);
	const char *text = read_file("log");
	CHECK_EQ(strlen(text), WRITERS * LINES * 20);
	for (int i = 0; i < WRITERS * LINES; i++)
		for (int k = 1; k < 19; k++)
			CHECK_EQ(text[i * 20 + k], text[i * 20]);
}

TEST(seeking_and_holes)
{
	char text[10];
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
	CHECK_EQ(write(fd, "end", 3), 3);
	CHECK_EQ(lseek(fd, -3, SEEK_END), 1 << 20);
	CHECK_EQ(lseek(fd, -1, SEEK_CUR), (1 << 20) - 1);
	CHECK_EQ(read(fd, text, 10), 4);
	CHECK(!memcmp(text, "\0end", 4));
	CHECK_EQ(read(fd, text, 10), 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 1 << 20);
	CHECK_EQ(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 3);
	FAILS(lseek(fd, 2 << 20, SEEK_DATA), ENXIO);
	CHECK(stat_of("file").st_blocks * 512 < 1 << 19);
	int p[2];
	OK(pipe(p));
	FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
}

TEST(reading_and_writing_at_a_place)
{
	char text[10];
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(pwrite(fd, "hello", 5, 5), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(pread(fd, text, 10, 3), 7);
	CHECK(!memcmp(text, "\0\0hello", 7));
	FAILS(pread(fd, text, 1, -1), EINVAL);
	CHECK_EQ(pread(fd, NULL, 0, 0), 0);
	CHECK_EQ(pread(fd, NULL, 10, 100), 0); /* no bytes to give: the memory is not touched */
	FAILS(pread(fd, NULL, 10, 0), EFAULT);
}

enum { LARGE = (3 << 20) + 123, BLOCK = 1 << 16 };

/* What a large file has at a place, until something is written over it. */
static char byte_at(off_t at)
{
	return (char)(at * 7 + at / 251 + at / 4096);
}

static void check_bytes(const char *bytes, off_t from, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++)
		CHECK_EQ(bytes[i], byte_at(from + i));
}

TEST(large_reads)
{
	static char block[BLOCK + 100];
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	for (off_t at = 0; at < LARGE; at += BLOCK) {
		ssize_t count = LARGE - at < BLOCK ? LARGE - at : BLOCK;
		for (ssize_t i = 0; i < count; i++)
			block[i] = byte_at(at + i);
		CHECK_EQ(write(fd, block, count), count);
	}
	for (int pass = 0; pass < 3; pass++) {
		OK(lseek(fd, 0, SEEK_SET));
		for (off_t at = 0; at < LARGE; at += BLOCK) {
			ssize_t count = LARGE - at < BLOCK ? LARGE - at : BLOCK;
			memset(block, 1, sizeof block);
			CHECK_EQ(read(fd, block + pass, BLOCK), count);
			check_bytes(block + pass, at, count);
			CHECK_EQ(block[pass + count], 1); /* and not more */
		}
		CHECK_EQ(read(fd, block, BLOCK), 0);
	}
	/* Anywhere, over the end, and behind it. */
	for (off_t at = 1; at < LARGE + 2 * BLOCK; at += 99991) {
		ssize_t count = at > LARGE ? 0 : LARGE - at < BLOCK ? LARGE - at : BLOCK;
		CHECK_EQ(pread(fd, block, BLOCK, at), count);
		check_bytes(block, at, count);
	}
	/* What others do to it is seen at once: here by another open file. */
	int other = OK(open("file", O_RDWR));
	for (int i = 1; i < 100; i++) {
		memset(block, i, 100);
		CHECK_EQ(pwrite(other, block, 100, 5000), 100);
		CHECK_EQ(pread(fd, block, BLOCK, 0), BLOCK);
		CHECK(block[4999] == byte_at(4999) && block[5000] == i && block[5099] == i && block[5100] == byte_at(5100));
	}
	OK(ftruncate(other, 10000));
	CHECK_EQ(pread(fd, block, BLOCK, 0), 10000);
	CHECK_EQ(pread(fd, block, BLOCK, 10000), 0);
	OK(ftruncate(other, LARGE));
	CHECK_EQ(pread(fd, block, BLOCK, 9000), BLOCK);
	CHECK(block[999] == byte_at(9999) && !block[1000] && !block[BLOCK - 1]);
}

TEST(large_reads_end_where_memory_does)
{
	static char block[BLOCK];
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	for (off_t at = 0; at < LARGE; at += BLOCK)
		CHECK_EQ(write(fd, block, BLOCK), BLOCK);
	char *m = mmap(NULL, 3 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	OK(munmap(m + BLOCK, BLOCK));
	OK(mprotect(m + 2 * BLOCK, BLOCK, PROT_READ));
	for (off_t at = 0; at < LARGE; at += BLOCK) {
		memset(m, 1, BLOCK);
		ssize_t count = pread(fd, m + BLOCK / 2, BLOCK, at);
		CHECK_EQ(count, BLOCK / 2);
		CHECK(m[BLOCK / 2 - 1] == 1 && !m[BLOCK / 2] && !m[BLOCK - 1]);
		FAILS(pread(fd, m + BLOCK, BLOCK, at), EFAULT);
		FAILS(pread(fd, m + 2 * BLOCK, BLOCK, at), EFAULT);
		struct iovec in[2] = { { m, BLOCK }, { block, BLOCK } };
		memset(block, 1, BLOCK);
		CHECK_EQ(preadv(fd, in, 2, at), LARGE - at < 2 * BLOCK ? BLOCK + (at + BLOCK < LARGE ? BLOCK : 0) : 2 * BLOCK);
		CHECK(!m[0] && !m[BLOCK - 1]);
	}
}

TEST(vectors)
{
	char a[3], b[5];
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	struct iovec out[3] = { { "ab", 2 }, { NULL, 0 }, { "cdefg", 5 } }, in[2] = { { a, 3 }, { b, 5 } };
	CHECK_EQ(writev(fd, out, 3), 7);
	CHECK_EQ(preadv(fd, in, 2, 0), 7);
	CHECK(!memcmp(a, "abc", 3) && !memcmp(b, "defg", 4));
	CHECK_EQ(pwritev(fd, out, 1, 1), 2);
	CHECK_STR(read_file("file"), "aabdefg");
	CHECK_EQ(preadv2(fd, in, 2, -1, 0), 0); /* at the current offset, which is the end */
	FAILS(writev(fd, out, -1), EINVAL);
	FAILS(writev(fd, out, 1025), EINVAL);
	CHECK_EQ(writev(fd, out, 0), 0);
}

TEST(truncating_and_growing)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	OK(ftruncate(fd, 4));
	OK(ftruncate(fd, 8));
	char text[9] = "";
	CHECK_EQ(pread(fd, text, 8, 0), 8);
	CHECK(!memcmp(text, "0123\0\0\0\0", 8));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	OK(truncate("file", 2));
	CHECK_EQ(stat_of("file").st_size, 2);
	FAILS(truncate("file", -1), EINVAL);
	FAILS(truncate(".", 0), EISDIR);
	FAILS(truncate("absent", 0), ENOENT);
}

TEST(allocating)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(fallocate(fd, 0, 0, 10000));
	CHECK_EQ(stat_of("file").st_size, 10000);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	CHECK_EQ(stat_of("file").st_size, 10000);
	CHECK_EQ(pwrite(fd, "x", 1, 5000), 1);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	char c = 1;
	CHECK_EQ(pread(fd, &c, 1, 5000), 1);
	CHECK_EQ(c, 0);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(OK(open("file", O_RDONLY)), 0, 0, 10), EBADF);
}

TEST(duplicating_descriptors)
{
	int fd = OK(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600)), copy = OK(dup(fd));
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(fcntl(copy, F_GETFD), 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 3); /* one offset */
	OK(fcntl(copy, F_SETFL, O_APPEND));
	CHECK(fcntl(fd, F_GETFL) & O_APPEND); /* one set of status flags */
	CHECK_EQ(dup2(fd, 100), 100);
	CHECK_EQ(dup2(fd, fd), fd);
	FAILS(dup3(fd, fd, 0), EINVAL);
	CHECK_EQ(dup3(fd, 101, O_CLOEXEC), 101);
	CHECK(fcntl(101, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_DUPFD, 101), 102);
	CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 50), 50);
	FAILS(dup2(fd, 1 << 20), EBADF);
	FAILS(dup(999), EBADF);
	FAILS(close(999), EBADF);
	close(100);
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 3);
	OK(syscall(SYS_close_range, 101, 102, 0));
	FAILS(fcntl(102, F_GETFD), EBADF);
	OK(close(0));
	CHECK_EQ(open("file", O_RDONLY), 0); /* the lowest free number */
}

TEST(path_only_descriptors)
{
	char text[300], link[40];
	write_file("file", "text");
	int fd = OK(open("file", O_PATH)), dir = OK(open(".", O_PATH | O_DIRECTORY));
	struct stat st;
	FAILS(read(fd, text, 1), EBADF);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(fchmod(fd, 0600), EBADF);
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 4);
	OK(fstatat(dir, "file", &st, 0));
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	CHECK_EQ(read(OK(open(link, O_RDONLY)), text, 10), 4);
	OK(symlink("file", "link"));
	int symbolic = OK(open("link", O_PATH | O_NOFOLLOW));
	OK(fstat(symbolic, &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(readlinkat(symbolic, "", text, sizeof text), 4);
	OK(fchdir(dir));
}

TEST(files_without_a_name)
{
	char link[40];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 && errno == EOPNOTSUPP)
		return; /* not every file system has them */
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "hidden", 6), 6);
	struct stat st;
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	CHECK_STR(read_file("named"), "hidden");
}

TEST(an_unlinked_file_lives_on)
{
	char text[10] = "";
	struct stat st;
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "alive", 5), 5);
	OK(unlink("file"));
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(pread(fd, text, 5, 0), 5);
	CHECK_STR(text, "alive");
	CHECK_EQ(pwrite(fd, "A", 1, 0), 1);
	write_file("file", "new");
	CHECK_EQ(pread(fd, text, 5, 0), 5);
	CHECK_STR(text, "Alive");
	OK(ftruncate(fd, 1));
	CHECK_STR(read_file("file"), "new");
}

TEST(sending_and_copying_between_files)
{
	write_file("from", "0123456789");
	int from = OK(open("from", O_RDONLY)), to = OK(open("to", O_RDWR | O_CREAT, 0600));
	off_t offset = 2;
	CHECK_EQ(sendfile(to, from, &offset, 3), 3);
	CHECK_EQ(offset, 5);
	CHECK_EQ(lseek(from, 0, SEEK_CUR), 0);
	CHECK_EQ(sendfile(to, from, NULL, 100), 10);
	CHECK_EQ(sendfile(to, from, NULL, 100), 0);
	CHECK_STR(read_file("to"), "2340123456789");
	off_t in = 1, out = 0;
	CHECK_EQ(copy_file_range(from, &in, to, &out, 4, 0), 4);
	CHECK_STR(read_file("to"), "1234123456789");
	CHECK(in == 5 && out == 4);
	FAILS(copy_file_range(from, &in, to, &out, 4, 1), EINVAL);
}

TEST(splicing_through_a_pipe)
{
	int p[2], from, to = OK(open("to", O_RDWR | O_CREAT, 0600));
	char text[20];
	write_file("from", "splice me");
	from = OK(open("from", O_RDONLY));
	OK(pipe(p));
	CHECK_EQ(splice(from, NULL, p[1], NULL, 100, 0), 9);
	CHECK_EQ(splice(p[0], NULL, to, NULL, 6, 0), 6);
	CHECK_STR(read_file("to"), "splice");
	int q[2];
	OK(pipe(q));
	CHECK_EQ(tee(p[0], q[1], 100, 0), 3);
	CHECK_EQ(read(p[0], text, 20), 3);
	CHECK_EQ(read(q[0], text, 20), 3);
	CHECK(!memcmp(text, " me", 3));
	struct iovec v = { "vm", 2 };
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), 2);
	CHECK_EQ(read(p[0], text, 20), 2);
	FAILS(splice(from, NULL, to, NULL, 1, 0), EINVAL);
}

TEST(special_devices)
{
	char text[64];
	int null = OK(open("/dev/null", O_RDWR)), zero = OK(open("/dev/zero", O_RDWR)), full = OK(open("/dev/full", O_RDWR));
	CHECK_EQ(read(null, text, 64), 0);
	CHECK_EQ(write(null, text, 64), 64);
	memset(text, 1, 64);
	CHECK_EQ(read(zero, text, 64), 64);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(text[i], 0);
	FAILS(write(full, text, 64), ENOSPC);
	struct stat st;
	OK(fstat(null, &st));
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
	char *m = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0));
	CHECK_EQ(m[100], 0);
	int random = OK(open("/dev/urandom", O_RDONLY)), same = 0;
	char more[64];
	CHECK_EQ(read(random, text, 64), 64);
	CHECK_EQ(read(random, more, 64), 64);
	for (int i = 0; i < 64; i++)
		same += text[i] == more[i];
	CHECK(same < 20);
}

TEST(limit_of_descriptors)
{
	struct rlimit limit = { 100, 100 };
	int fd, last = -1;
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = dup(0)) >= 0)
		last = fd;
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(last, 99);
	FAILS(open("/dev/null", O_RDONLY), EMFILE);
	FAILS(dup2(0, 100), EBADF);
	FAILS(fcntl(0, F_DUPFD, 100), EINVAL);
}

TEST(big_reads_and_writes)
{
	enum { SIZE = 9 << 20 };
	char *out = OK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *in = OK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < SIZE; i += 97)
		out[i] = (char)i;
	int fd = OK(open("big", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, out, SIZE), SIZE);
	CHECK_EQ(pread(fd, in, SIZE, 0), SIZE);
	CHECK(!memcmp(in, out, SIZE));
	OK(fsync(fd));
	OK(fdatasync(fd));
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
