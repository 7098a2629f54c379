/*
 * Files: of the image, which are there from the start, new ones in the root file system, and ones in a file system in
 * memory.
 */
#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/srv"
#define MEMORY "/mnt/tmpfs"
#define IN_IMAGE "/bin/busybox"

enum { BLOCK = 1 << 16, PAGE = 4096, PAGES = 256 };
static char block[BLOCK];

static int opened(const char *path)
{
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	return fd;
}

/* A file without a name, of PAGES pages. */
static int filled(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && !unlink(path));
	for (int i = 0; i < PAGES; i++)
		CHECK(write(fd, block, PAGE) == PAGE);
	return fd;
}

/* One after the other, or anywhere. All are closed at last. */
static int64_t read_in_order(long n, int fd, ssize_t size, long nr_blocks)
{
	int64_t took = TIMED(n, CHECK(pread(fd, block, size, i % nr_blocks * size) == size));
	close(fd);
	return took;
}

static int64_t read_anywhere(long n, int fd)
{
	struct stat st;
	CHECK(!fstat(fd, &st));
	uint32_t random = 1, nr_pages = st.st_size / PAGE;
	int64_t took = TIMED(n, {
		random = random * 1664525 + 1013904223;
		CHECK(pread(fd, block, PAGE, (off_t)((random >> 8) % nr_pages) * PAGE) == PAGE);
	});
	close(fd);
	return took;
}

static int64_t write_in_order(long n, int fd, ssize_t size, long nr_blocks)
{
	int64_t took = TIMED(n, CHECK(pwrite(fd, block, size, i % nr_blocks * size) == size));
	close(fd);
	return took;
}

ROW(pread4k_tmpfs)
{
	return read_in_order(n, filled(MEMORY "/data"), PAGE, 16);
}

ROW(pread4k_root_image)
{
	return read_in_order(n, opened(IN_IMAGE), PAGE, 16);
}

ROW(pread4k_root_new)
{
	return read_in_order(n, filled(ROOT "/data"), PAGE, 16);
}

ROW(pwrite4k_tmpfs)
{
	return write_in_order(n, filled(MEMORY "/data"), PAGE, PAGES);
}

ROW(pwrite4k_root)
{
	return write_in_order(n, filled(ROOT "/data"), PAGE, PAGES);
}

/* Blocks of 64 KiB. */
ROW(seqread_image)
{
	return read_in_order(n, opened(IN_IMAGE), BLOCK, 16);
}

ROW(seqwrite_root)
{
	return write_in_order(n, filled(ROOT "/data"), BLOCK, 512);
}

ROW(randread4k_image)
{
	return read_anywhere(n, opened(IN_IMAGE));
}

ROW(randread4k_tmpfs)
{
	return read_anywhere(n, filled(MEMORY "/data"));
}

static int64_t open_close(long n, const char *path)
{
	return TIMED(n, close(opened(path)));
}

ROW(open_close_root)
{
	return open_close(n, "/etc/passwd");
}

ROW(open_close_tmpfs)
{
	int fd = open(MEMORY "/file", O_WRONLY | O_CREAT, 0644);
	CHECK(fd >= 0 && !close(fd));
	return open_close(n, MEMORY "/file");
}

ROW(stat_root)
{
	struct stat st;
	return TIMED(n, CHECK(!stat("/etc/passwd", &st)));
}

ROW(stat_deep)
{
	struct stat st;
	return TIMED(n, CHECK(!stat("/usr/share/doc/base-files/copyright", &st)));
}

ROW(stat_absent)
{
	struct stat st;
	return TIMED(n, CHECK(stat("/etc/nothing-of-this-name", &st) < 0));
}

ROW(fstat_root)
{
	struct stat st;
	int fd = opened("/etc/passwd");
	int64_t took = TIMED(n, CHECK(!fstat(fd, &st)));
	close(fd);
	return took;
}

static int64_t create_unlink(long n, const char *path)
{
	return TIMED(n, {
		int fd = open(path, O_WRONLY | O_CREAT, 0644);
		CHECK(fd >= 0 && !close(fd) && !unlink(path));
	});
}

ROW(create_unlink_root)
{
	return create_unlink(n, ROOT "/new");
}

ROW(create_unlink_tmpfs)
{
	return create_unlink(n, MEMORY "/new");
}

/* The whole of a directory of some hundred entries each time. */
ROW(readdir_usrbin)
{
	return TIMED(n, {
		DIR *dir = opendir("/usr/bin");
		CHECK(dir);
		while (readdir(dir))
			;
		closedir(dir);
	});
}

/* What is done with a tree of small files, a hundred in each folder; one of the four is timed. */
enum phase { CREATE, STAT, READ, UNLINK, NR_PHASES };

static char path[100];

static const char *folder_of(const char *dir, long file)
{
	snprintf(path, sizeof path, "%s/tree-%ld", dir, file / 100);
	return path;
}

static const char *name_of(const char *dir, long file)
{
	snprintf(path, sizeof path, "%s/tree-%ld/%ld", dir, file / 100, file);
	return path;
}

static void create(const char *dir, long file)
{
	if (file % 100 == 0)
		CHECK(!mkdir(folder_of(dir, file), 0755));
	int fd = open(name_of(dir, file), O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0 && write(fd, block, 1024) == 1024 && !close(fd));
}

static void look_at(const char *dir, long file)
{
	struct stat st;
	CHECK(!stat(name_of(dir, file), &st));
}

static void read_whole(const char *dir, long file)
{
	int fd = opened(name_of(dir, file));
	CHECK(read(fd, block, 2048) == 1024 && !close(fd));
}

static void unlink_file(const char *dir, long file)
{
	CHECK(!unlink(name_of(dir, file)));
}

static int64_t files(long n, const char *dir, enum phase timed)
{
	void (*const phases[])(const char *, long) = { create, look_at, read_whole, unlink_file };
	int64_t took = 0;
	for (enum phase phase = CREATE; phase < NR_PHASES; phase++) {
		if (phase == timed)
			took = TIMED(n, phases[phase](dir, i));
		else if (phase == CREATE || phase == UNLINK)
			TIMED(n, phases[phase](dir, i));
	}
	for (long file = 0; file < n; file += 100)
		CHECK(!rmdir(folder_of(dir, file)));
	return took;
}

ROW(files_create)
{
	return files(n, ROOT, CREATE);
}

ROW(files_stat)
{
	return files(n, ROOT, STAT);
}

ROW(files_read)
{
	return files(n, ROOT, READ);
}

ROW(files_unlink)
{
	return files(n, ROOT, UNLINK);
}

ROW(files_create_tmpfs)
{
	return files(n, MEMORY, CREATE);
}

ROW(files_stat_tmpfs)
{
	return files(n, MEMORY, STAT);
}

ROW(files_read_tmpfs)
{
	return files(n, MEMORY, READ);
}

ROW(files_unlink_tmpfs)
{
	return files(n, MEMORY, UNLINK);
}

int main(int argc, char **argv)
{
	return run_rows(argc, argv);
}
