/* Memory mappings: mmap(2), munmap, mremap, mprotect, madvise, brk, memfd_create, and what /proc/self/maps says. */
#include "test.h"
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/uio.h>

enum { PAGE = 4096 };
static char *volatile nowhere = (char *)8;

static char *map(size_t size, int prot, int flags)
{
	return OK(mmap(NULL, size, prot, flags, -1, 0));
}

static char *map_anonymous(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

static sigjmp_buf after_fault;
static void jump(int sig)
{
	siglongjmp(after_fault, sig);
}

/* Whether reading (or writing) the byte gives a fault, and which. */
static int fault_of(volatile char *address, int write)
{
	signal(SIGSEGV, jump);
	signal(SIGBUS, jump);
	int sig = sigsetjmp(after_fault, 1);
	if (sig)
		return sig;
	char c = *address;
	if (write)
		*address = c;
	return 0;
}

TEST(anonymous_memory_is_zero_and_writable)
{
	char *m = map_anonymous(64 * PAGE);
	for (int i = 0; i < 64 * PAGE; i += 512)
		CHECK_EQ(m[i], 0);
	memset(m, 7, 64 * PAGE);
	OK(munmap(m, 64 * PAGE));
	CHECK_EQ(fault_of(m, 0), SIGSEGV);
}

TEST(munmap_makes_a_hole)
{
	char *m = map_anonymous(5 * PAGE);
	memset(m, 3, 5 * PAGE);
	OK(munmap(m + 2 * PAGE, PAGE));
	CHECK_EQ(fault_of(m + 2 * PAGE, 0), SIGSEGV);
	CHECK_EQ(m[2 * PAGE - 1] + m[3 * PAGE], 6);
	OK(munmap(m, 5 * PAGE)); /* over the hole */
	OK(munmap(m, 5 * PAGE)); /* nothing there is no error */
	FAILS(munmap(m + 1, PAGE), EINVAL);
	FAILS(munmap(m, 0), EINVAL);
}

TEST(fixed_mappings_replace_and_noreplace_does_not)
{
	char *m = map_anonymous(3 * PAGE);
	memset(m, 1, 3 * PAGE);
	CHECK(mmap(m + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m + PAGE);
	CHECK_EQ(m[0] + m[PAGE] + m[2 * PAGE], 2);
	FAILS(mmap(m, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	OK(munmap(m + PAGE, PAGE));
	CHECK(mmap(m + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == m + PAGE);
	FAILS(mmap(m + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
}

TEST(errors_of_mmap)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600)), wronly = OK(open("file", O_WRONLY)), rdonly = OK(open("file", O_RDONLY));
	FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wronly, 0), EACCES);
	FAILS(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, rdonly, 0), EACCES);
	OK(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, rdonly, 0));
	FAILS(mmap(NULL, 1UL << 50, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, OK(open(".", O_RDONLY)), 0), ENODEV);
}

TEST(shared_file_mappings_and_file_calls_agree)
{
	char text[6] = "";
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 2 * PAGE));
	char *shared = OK(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *private = OK(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	memcpy(shared + PAGE, "hello", 5);
	CHECK_EQ(pread(fd, text, 5, PAGE), 5);
	CHECK_STR(text, "hello");
	CHECK_EQ(pwrite(fd, "HE", 2, PAGE), 2);
	CHECK(!memcmp(shared + PAGE, "HEllo", 5));
	CHECK(!memcmp(private + PAGE, "HEllo", 5)); /* not written yet: still the file's page */
	private[PAGE] = 'x';
	CHECK_EQ(shared[PAGE], 'H');
	OK(msync(shared, 2 * PAGE, MS_SYNC));
	OK(close(fd));
	CHECK_EQ(shared[PAGE + 1], 'E');
	FAILS(msync(shared + 1, PAGE, MS_SYNC), EINVAL);
}

TEST(two_processes_share_a_file_mapping)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, PAGE));
	pid_t child = IN_CHILD({
		volatile int *own = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, OK(open("file", O_RDWR)), 0));
		own[3] = 33;
		WAIT_FOR(own[4] == 44);
	});
	volatile int *m = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	WAIT_FOR(m[3] == 33);
	m[4] = 44;
	EXPECT_EXIT(child, 0);
}

TEST(truncation_takes_pages_away)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 3 * PAGE));
	char *m = OK(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	memset(m, 5, 3 * PAGE);
	OK(ftruncate(fd, PAGE + 10));
	CHECK_EQ(fault_of(m + 2 * PAGE, 0), SIGBUS);
	CHECK_EQ(m[PAGE + 9], 5);
	CHECK_EQ(m[PAGE + 10], 0);
	OK(ftruncate(fd, 3 * PAGE));
	CHECK_EQ(m[2 * PAGE], 0);
}

TEST(mprotect_changes_access)
{
	char *m = map_anonymous(3 * PAGE);
	m[PAGE] = 4;
	OK(mprotect(m + PAGE, PAGE, PROT_READ));
	CHECK_EQ(fault_of(m + PAGE, 0), 0);
	CHECK_EQ(fault_of(m + PAGE, 1), SIGSEGV);
	CHECK_EQ(fault_of(m + 2 * PAGE, 1), 0);
	OK(mprotect(m + PAGE, PAGE, PROT_NONE));
	CHECK_EQ(fault_of(m + PAGE, 0), SIGSEGV);
	int p[2];
	OK(pipe(p));
	FAILS(write(p[1], m + PAGE, 1), EFAULT); /* the kernel keeps to it too */
	OK(mprotect(m, 3 * PAGE, PROT_READ | PROT_WRITE));
	CHECK_EQ(m[PAGE], 4);
	FAILS(mprotect(m + 5, PAGE, PROT_READ), EINVAL);
	OK(munmap(m + PAGE, PAGE));
	FAILS(mprotect(m, 3 * PAGE, PROT_READ), ENOMEM);
}

TEST(executable_memory)
{
	static const unsigned char code[] = { 0x8d, 0x47, 0x01, 0xc3 }; /* lea eax, [rdi + 1]; ret */
	char *m = map_anonymous(PAGE);
	memcpy(m, code, sizeof code);
	OK(mprotect(m, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(((int (*)(int))(uintptr_t)m)(41), 42);
}

TEST(mremap_grows_moves_and_shrinks)
{
	char *m = map_anonymous(4 * PAGE);
	for (int i = 0; i < 4; i++)
		m[i * PAGE] = (char)(i + 1);
	OK(munmap(m + 3 * PAGE, PAGE));
	map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(mmap(m + 3 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m + 3 * PAGE);
	FAILS(mremap(m, 3 * PAGE, 100 * PAGE, 0), ENOMEM); /* in the way */
	char *moved = OK(mremap(m, 3 * PAGE, 100 * PAGE, MREMAP_MAYMOVE));
	CHECK(moved != m);
	CHECK_EQ(moved[0] + moved[PAGE] + moved[2 * PAGE], 6);
	CHECK_EQ(moved[99 * PAGE], 0);
	CHECK_EQ(fault_of(m, 0), SIGSEGV);
	CHECK(OK(mremap(moved, 100 * PAGE, PAGE, 0)) == moved);
	CHECK_EQ(fault_of(moved + PAGE, 0), SIGSEGV);
	char *target = map_anonymous(PAGE);
	CHECK(OK(mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target)) == target);
	CHECK_EQ(target[0], 1);
	FAILS(mremap(moved, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

TEST(mremap_of_a_shared_mapping_stays_shared)
{
	int fd = OK(memfd_create("x", 0));
	OK(ftruncate(fd, 4 * PAGE));
	char *m = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	m = OK(mremap(m, PAGE, 4 * PAGE, MREMAP_MAYMOVE));
	m[3 * PAGE] = 'k';
	char c;
	CHECK_EQ(pread(fd, &c, 1, 3 * PAGE), 1);
	CHECK_EQ(c, 'k');
}

TEST(madvise_dontneed)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "FILE", 4), 4);
	char *anonymous = map_anonymous(2 * PAGE);
	char *file = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	memset(anonymous, 1, 2 * PAGE);
	file[0] = 'x';
	OK(madvise(anonymous, PAGE, MADV_DONTNEED));
	OK(madvise(file, PAGE, MADV_DONTNEED));
	CHECK_EQ(anonymous[0], 0);
	CHECK_EQ(anonymous[PAGE], 1);
	CHECK_EQ(file[0], 'F');
	FAILS(madvise(anonymous + 1, PAGE, MADV_DONTNEED), EINVAL);
	FAILS(madvise(anonymous, PAGE, 12345), EINVAL);
	OK(munmap(anonymous, PAGE));
	FAILS(madvise(anonymous, 2 * PAGE, MADV_DONTNEED), ENOMEM);
}

TEST(growing_stack_mapping)
{
	char *m = map_anonymous(512 * PAGE);
	OK(munmap(m, 511 * PAGE));
	char *top = OK(mmap(m + 510 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
	top[0] = 1;
	top[-1] = 2; /* grows by a page */
	CHECK_EQ(top[-1], 2);
}

TEST(the_stack_grows_to_its_limit)
{
	pid_t child = IN_CHILD({
		volatile char big[6 << 20];
		for (size_t i = sizeof big; i > 0; i -= PAGE)
			big[i - 1] = 1;
		_exit(big[sizeof big - 1]);
	});
	EXPECT_EXIT(child, 1);
}

TEST(brk_moves_the_break)
{
	char *start = sbrk(0);
	CHECK(sbrk(10 * PAGE) == start);
	memset(start, 9, 10 * PAGE);
	CHECK(sbrk(-9 * PAGE) == start + 10 * PAGE);
	CHECK_EQ(start[PAGE / 2], 9);
	CHECK(sbrk(9 * PAGE) == start + PAGE);
	CHECK_EQ(start[5 * PAGE], 0); /* what was given back comes as zeros */
	CHECK_EQ(syscall(SYS_brk, 0), (long)(start + 10 * PAGE));
}

TEST(memfd_and_its_seals)
{
	int fd = OK(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING)), plain = OK(memfd_create("p", 0));
	struct stat st;
	OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode) && st.st_size == 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	OK(ftruncate(fd, PAGE));
	CHECK_EQ(write(fd, "abc", 3), 3);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	FAILS(ftruncate(fd, 10), EPERM);
	FAILS(ftruncate(fd, 2 * PAGE), EPERM);
	FAILS(write(fd, "x", 1), EPERM);
	FAILS(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	FAILS(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW), EPERM);
}

/* However it was read before, nothing but writable mappings stands against the seal. */
TEST(a_memfd_that_was_read_can_be_sealed)
{
	static char block[1 << 16];
	int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
	for (int i = 0; i < 32; i++)
		CHECK_EQ(write(fd, memset(block, i, sizeof block), sizeof block), sizeof block);
	for (int i = 0; i < 32; i++) {
		CHECK_EQ(pread(fd, block, sizeof block, i * (off_t)sizeof block), sizeof block);
		CHECK(block[0] == i && block[sizeof block - 1] == i);
	}
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	FAILS(write(fd, "x", 1), EPERM);
}

/* Looks an address up in /proc/self/maps; returns the four letters of its permissions, or "". */
static const char *permissions_of(void *address)
{
	static char perms[5];
	char line[500];
	unsigned long start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	CHECK(maps);
	*perms = 0;
	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 && start <= (unsigned long)address &&
		    (unsigned long)address < end)
			break;
		else
			*perms = 0;
	fclose(maps);
	return perms;
}

TEST(proc_maps_agrees)
{
	char *m = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK_STR(permissions_of(m), "rw-p");
	OK(mprotect(m + PAGE, PAGE, PROT_READ | PROT_EXEC));
	CHECK_STR(permissions_of(m + PAGE), "r-xp");
	CHECK_STR(permissions_of(m + 2 * PAGE), "rw-p");
	OK(munmap(m + PAGE, PAGE));
	CHECK_STR(permissions_of(m + PAGE), "");
	CHECK_STR(permissions_of(map(PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS)), "r--s");
	CHECK_STR(permissions_of((void *)(uintptr_t)permissions_of), "r-xp");
	CHECK_STR(permissions_of(&m), "rw-p");
	int fd = OK(open("mapped file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, PAGE));
	OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	const char *maps = read_file("/proc/self/maps");
	CHECK(strstr(maps, "/mapped file\n"));
	CHECK(strstr(maps, "[stack]") && strstr(maps, "[heap]") && strstr(maps, "[vdso]"));
	OK(unlink("mapped file"));
	CHECK(strstr(read_file("/proc/self/maps"), "/mapped file (deleted)\n"));
}

TEST(mincore_and_locks)
{
	unsigned char here[2];
	char *m = map_anonymous(2 * PAGE);
	m[0] = 1;
	OK(mincore(m, 2 * PAGE, here));
	CHECK(here[0] & 1);
	OK(mlock(m, PAGE));
	OK(munlock(m, PAGE));
	OK(munmap(m, PAGE));
	FAILS(mincore(m, 2 * PAGE, here), ENOMEM);
	FAILS(mlock(m, PAGE), ENOMEM);
}

TEST(limit_of_the_address_space)
{
	struct rlimit limit = { 256 << 20, 256 << 20 };
	OK(setrlimit(RLIMIT_AS, &limit));
	FAILS(mmap(NULL, 512 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	OK(mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(a_mapping_outlives_its_unlinked_file)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "still here", 10), 10);
	char *m = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	OK(close(fd));
	OK(unlink("file"));
	CHECK(!memcmp(m, "still here", 10));
}

TEST(reading_into_bad_memory)
{
	int p[2];
	char *m = map_anonymous(2 * PAGE);
	OK(munmap(m + PAGE, PAGE));
	OK(pipe(p));
	CHECK_EQ(write(p[1], "0123456789", 10), 10);
	FAILS(read(p[0], nowhere, 10), EFAULT);
	struct stat st;
	FAILS(stat(nowhere, &st), EFAULT);
	FAILS(stat(".", (struct stat *)nowhere), EFAULT);
	FAILS(pipe((int *)nowhere), EFAULT);
	strcpy(m + PAGE - 2, "."); /* a path may end right at the border */
	OK(stat(m + PAGE - 2, &st));
	m[PAGE - 1] = 'x';
	FAILS(stat(m + PAGE - 2, &st), EFAULT);
}

TEST(another_process_memory)
{
	static char secret[16] = "parent";
	pid_t child = IN_CHILD({ strcpy(secret, "child"); pause(); });
	WAIT_FOR(is_asleep(child));
	char got[16] = "";
	struct iovec local = { got, 6 }, remote = { secret, 6 };
	CHECK_EQ(process_vm_readv(child, &local, 1, &remote, 1, 0), 6);
	CHECK_STR(got, "child");
	strcpy(got, "xyz");
	CHECK_EQ(process_vm_writev(child, &local, 1, &remote, 1, 0), 6);
	CHECK_EQ(process_vm_readv(child, &(struct iovec){ got + 8, 6 }, 1, &remote, 1, 0), 6);
	CHECK_STR(got + 8, "xyz");
	FAILS(process_vm_readv(child, &local, 1, &(struct iovec){ (void *)8, 6 }, 1, 0), EFAULT);
	FAILS(process_vm_readv(1 << 21, &local, 1, &remote, 1, 0), ESRCH);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}
int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
