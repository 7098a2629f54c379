/* Mappings, and the faults that fill them. */
#include "bench.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 16384, BYTES = PAGES * PAGE };

static char *map(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	return memory;
}

static char *map_small_pages(void)
{
	char *memory = map(BYTES);
	CHECK(!madvise(memory, BYTES, MADV_NOHUGEPAGE));
	return memory;
}

ROW(mmap_munmap)
{
	return TIMED(n, CHECK(!munmap(map(1 << 16), 1 << 16)));
}

ROW(mmap_touch_munmap)
{
	return TIMED(n, {
		char *memory = map(PAGE);
		*(volatile char *)memory = 1;
		CHECK(!munmap(memory, PAGE));
	});
}

ROW(mprotect_flip)
{
	char *memory = map(1 << 16);
	memset(memory, 1, 1 << 16);
	int64_t took = TIMED(n, CHECK(!mprotect(memory, 1 << 16, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ)));
	munmap(memory, 1 << 16);
	return took;
}

/* What the pages of mappings take that are touched one after the other, `n` in all. */
#define TOUCH(n, map_it, ...) \
	({ \
		int64_t took_ = 0; \
		for (long done_ = 0; done_ < (n); done_ += PAGES) { \
			long pages_ = (n) - done_ < PAGES ? (n) - done_ : PAGES; \
			volatile char *memory = (map_it); \
			took_ += TIMED(pages_, __VA_ARGS__); \
			munmap((void *)memory, BYTES); \
		} \
		took_; \
	})

ROW(anon_fault)
{
	return TOUCH(n, map(BYTES), memory[i * PAGE] = 1);
}

ROW(anon_fault_4k)
{
	return TOUCH(n, map_small_pages(), memory[i * PAGE] = 1);
}

static char *map_file(int fd)
{
	char *memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	return memory;
}

static int64_t file_fault(long n, const char *path)
{
	static const char block[1 << 16];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && !unlink(path));
	for (size_t written = 0; written < BYTES; written += sizeof block)
		CHECK(write(fd, block, sizeof block) == sizeof block);
	int64_t took = TOUCH(n, map_file(fd), (void)memory[i * PAGE]);
	close(fd);
	return took;
}

ROW(file_fault_root)
{
	return file_fault(n, "/srv/map");
}

ROW(file_fault_tmpfs)
{
	return file_fault(n, "/mnt/tmpfs/map");
}

/* What a child pays for each page that it shares with its parent and writes. */
ROW(cow_fault)
{
	int64_t total = 0, *took = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile char *memory = map_small_pages();
	CHECK(took != MAP_FAILED);
	memset((void *)memory, 1, BYTES);
	for (long done = 0; done < n; done += PAGES) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child) {
			*took = TIMED(n - done < PAGES ? n - done : PAGES, memory[i * PAGE] = 2);
			_exit(0);
		}
		CHECK(waitpid(child, NULL, 0) == child);
		total += *took;
	}
	munmap((void *)memory, BYTES);
	munmap(took, PAGE);
	return total;
}

int main(int argc, char **argv)
{
	return run_rows(argc, argv);
}
