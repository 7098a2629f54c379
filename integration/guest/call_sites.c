/* syscall(2): what a call from the same place leaves as it is, however often it is made, and whatever comes between. */
#include "test.h"
#include <asm/prctl.h>
#include <pthread.h>
#include <sys/time.h>

/* A call with known registers. Counts those that the call has changed: the callee-saved ones, those of the arguments, the
 * flags, and the 128 bytes below the stack pointer, which belong to the function that makes it. */
static long checked_getppid(long *changed)
{
	long result, count;
	__asm__ volatile(
		"sub $256, %%rsp\n\t"
		"movq $0x1234567, 136(%%rsp)\n\t"
		"lea 256(%%rsp), %%rsp\n\t"
		"mov $0x11, %%rbx\n\tmov $0x12, %%r12\n\tmov $0x13, %%r13\n\tmov $0x14, %%r14\n\tmov $0x15, %%r15\n\t"
		"mov $0x21, %%rdi\n\tmov $0x22, %%rsi\n\tmov $0x23, %%rdx\n\tmov $0x24, %%r10\n\tmov $0x25, %%r8\n\t"
		"mov $0x26, %%r9\n\t"
		"stc\n\t"
		"mov $110, %%eax\n\tsyscall\n\t"
		"mov $0, %%ecx\n\t"
		"adc $-1, %%rcx\n\t" /* 0 if the carry flag was kept */
		"cmpq $0x1234567, -120(%%rsp)\n\tsetne %%r11b\n\tmovzbl %%r11b, %%r11d\n\tadd %%r11, %%rcx\n\t"
		"sub $0x11, %%rbx\n\tor %%rbx, %%rcx\n\tsub $0x12, %%r12\n\tor %%r12, %%rcx\n\t"
		"sub $0x13, %%r13\n\tor %%r13, %%rcx\n\tsub $0x14, %%r14\n\tor %%r14, %%rcx\n\t"
		"sub $0x15, %%r15\n\tor %%r15, %%rcx\n\tsub $0x21, %%rdi\n\tor %%rdi, %%rcx\n\t"
		"sub $0x22, %%rsi\n\tor %%rsi, %%rcx\n\tsub $0x23, %%rdx\n\tor %%rdx, %%rcx\n\t"
		"sub $0x24, %%r10\n\tor %%r10, %%rcx\n\tsub $0x25, %%r8\n\tor %%r8, %%rcx\n\t"
		"sub $0x26, %%r9\n\tor %%r9, %%rcx\n\t"
		: "=a"(result), "=c"(count)
		:
		: "rbx", "r12", "r13", "r14", "r15", "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "cc", "memory");
	*changed += count != 0;
	return result;
}

TEST(registers_flags_and_the_red_zone_are_kept)
{
	long changed = 0, parent = getppid();
	for (int i = 0; i < 1000; i++)
		CHECK(checked_getppid(&changed) == parent);
	CHECK(changed == 0);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
	(void)signal;
	getppid();
	alarms++;
}

TEST(signals_come_between_calls_and_in_them)
{
	long changed = 0, parent = getppid();
	struct sigaction action = { .sa_handler = count_alarm };
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	OK(sigaction(SIGALRM, &action, NULL));
	OK(setitimer(ITIMER_REAL, &often, NULL));
	while (alarms < 200) {
		/* glibc compares the result of syscall(), and the handler calls from the same place. */
		CHECK(syscall(SYS_getppid) == parent && getppid() == parent);
		CHECK(checked_getppid(&changed) == parent);
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
	CHECK(changed == 0);
}

static void *call_often(void *wrong)
{
	long changed = 0, own = syscall(SYS_gettid);
	for (int i = 0; i < 3000; i++) {
		checked_getppid(&changed);
		changed += syscall(SYS_gettid) != own;
	}
	*(long *)wrong = changed;
	return NULL;
}

TEST(threads_call_from_the_same_place)
{
	pthread_t threads[4];
	long wrong[4];
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, call_often, &wrong[i]) == 0);
	for (int i = 0; i < 4; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0);
		CHECK(wrong[i] == 0);
	}
}

TEST(a_read_that_waits_goes_on_where_others_were_made)
{
	int fds[2];
	char byte;
	OK(pipe(fds));
	pid_t child = OK(fork());
	if (child == 0) {
		for (int i = 0; i < 100; i++) {
			OK(usleep(i % 10 == 0 ? 1000 : 0));
			OK(write(fds[1], "x", 1));
		}
		_exit(0);
	}
	for (int i = 0; i < 100; i++)
		CHECK(read(fds[0], &byte, 1) == 1 && byte == 'x');
	OK(close(fds[1]));
	CHECK(read(fds[0], &byte, 1) == 0);
	EXPECT_EXIT(child, 0);
	OK(close(fds[0]));
	FAILS(read(fds[0], &byte, 1), EBADF);
}

static unsigned long gs_word(void)
{
	unsigned long word;
	__asm__ volatile("mov %%gs:0, %0" : "=r"(word));
	return word;
}

TEST(gs_is_the_programs)
{
	static unsigned long own[512] = { 0xabcdef };
	unsigned long base = 1;
	long parent = getppid();
	for (int i = 0; i < 50; i++)
		CHECK(getppid() == parent);
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	CHECK(base == 0);
	OK(syscall(SYS_arch_prctl, ARCH_SET_GS, own));
	for (int i = 0; i < 50; i++)
		CHECK(getppid() == parent && gs_word() == 0xabcdef);
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	CHECK(base == (unsigned long)own);
	for (int i = 1; i < 512; i++)
		CHECK(own[i] == 0);
	OK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
	CHECK(getppid() == parent);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
