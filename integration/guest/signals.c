/* Signals: masks, handlers and their siginfo, queues, alternate stacks, faults, waiting for signals. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/ucontext.h>

static volatile sig_atomic_t caught;
static volatile siginfo_t last_info;

static void count(int sig)
{
	(void)sig;
	caught++;
}

static void keep_info(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	caught++;
	last_info = *info;
}

static void on(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	OK(sigaction(sig, &action, NULL));
}

static sigset_t set_of(int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static void block(int sig)
{
	sigset_t set = set_of(sig);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock(int sig)
{
	sigset_t set = set_of(sig);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

static int is_pending(int sig)
{
	sigset_t set;
	OK(sigpending(&set));
	return sigismember(&set, sig);
}

TEST(kill_fills_siginfo)
{
	on(SIGUSR1, keep_info, 0);
	OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(caught, 1);
	CHECK_EQ(last_info.si_signo, SIGUSR1);
	CHECK_EQ(last_info.si_code, SI_USER);
	CHECK_EQ(last_info.si_pid, getpid());
	CHECK_EQ(last_info.si_uid, getuid());
	OK(raise(SIGUSR1));
	CHECK_EQ(last_info.si_code, SI_TKILL);
}

TEST(blocked_signals_wait_and_standard_ones_merge)
{
	on(SIGUSR1, keep_info, 0);
	block(SIGUSR1);
	OK(kill(getpid(), SIGUSR1));
	OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(caught, 0);
	CHECK(is_pending(SIGUSR1));
	unblock(SIGUSR1);
	CHECK_EQ(caught, 1);
	CHECK(!is_pending(SIGUSR1));
}

TEST(ignoring_drops_what_is_pending)
{
	block(SIGUSR1);
	OK(kill(getpid(), SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	CHECK(!is_pending(SIGUSR1));
}

static int order[16], nr_order;
static void note_value(int sig, siginfo_t *info, void *context)
{
	(void)context;
	order[nr_order++] = sig * 100 + info->si_value.sival_int;
}

TEST(real_time_signals_queue_in_order)
{
	int low = SIGRTMIN + 1, high = SIGRTMIN + 3;
	on(low, note_value, 0);
	on(high, note_value, 0);
	block(low);
	block(high);
	for (int i = 1; i <= 3; i++) {
		OK(sigqueue(getpid(), high, (union sigval){ .sival_int = i }));
		OK(sigqueue(getpid(), low, (union sigval){ .sival_int = i }));
	}
	sigset_t both = set_of(low);
	sigaddset(&both, high);
	sigset_t empty, all;
	sigemptyset(&empty);
	/* One signal at a time: while a handler runs all others wait, so that the handlers do not nest. */
	sigfillset(&all);
	struct sigaction action = { .sa_sigaction = note_value, .sa_flags = SA_SIGINFO, .sa_mask = all };
	OK(sigaction(low, &action, NULL));
	OK(sigaction(high, &action, NULL));
	OK(sigprocmask(SIG_UNBLOCK, &both, NULL));
	CHECK_EQ(nr_order, 6);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(order[i], low * 100 + i + 1);
		CHECK_EQ(order[3 + i], high * 100 + i + 1);
	}
}

TEST(sigqueue_has_its_code_and_value)
{
	on(SIGRTMIN, keep_info, 0);
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1234 }));
	CHECK_EQ(last_info.si_code, SI_QUEUE);
	CHECK_EQ(last_info.si_value.sival_int, 1234);
	CHECK_EQ(last_info.si_pid, getpid());
}

TEST(sigwaitinfo_takes_a_blocked_signal)
{
	sigset_t set = set_of(SIGUSR1);
	siginfo_t info;
	block(SIGUSR1);
	pid_t parent = getpid();
	pid_t child = IN_CHILD({
		WAIT_FOR(is_asleep(parent));
		kill(parent, SIGUSR1);
	});
	CHECK_EQ(OK(sigwaitinfo(&set, &info)), SIGUSR1);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_code, SI_USER);
	EXPECT_EXIT(child, 0);
	CHECK(!is_pending(SIGUSR1));
}

TEST(sigtimedwait_times_out)
{
	sigset_t set = set_of(SIGUSR1);
	struct timespec short_time = { .tv_nsec = 40000000 }, none = { 0 };
	block(SIGUSR1);
	FAILS(sigtimedwait(&set, NULL, &none), EAGAIN);
	int64_t start = now_ms();
	FAILS(sigtimedwait(&set, NULL, &short_time), EAGAIN);
	CHECK(now_ms() - start >= 38);
	OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(OK(sigtimedwait(&set, NULL, &none)), SIGUSR1);
}

TEST(sigtimedwait_is_interrupted_by_another_signal)
{
	sigset_t set = set_of(SIGUSR1);
	struct timespec limit = { .tv_sec = 50 };
	block(SIGUSR1);
	on(SIGUSR2, keep_info, SA_RESTART);
	pid_t parent = getpid();
	pid_t child = IN_CHILD({
		WAIT_FOR(is_asleep(parent));
		kill(parent, SIGUSR2);
	});
	FAILS(sigtimedwait(&set, NULL, &limit), EINTR);
	EXPECT_EXIT(child, 0);
}

TEST(sigsuspend_swaps_the_mask_for_its_time)
{
	sigset_t none;
	sigemptyset(&none);
	on(SIGUSR1, keep_info, 0);
	block(SIGUSR1);
	OK(kill(getpid(), SIGUSR1));
	FAILS(sigsuspend(&none), EINTR);
	CHECK_EQ(caught, 1);
	sigset_t now;
	OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1));
}

static volatile sig_atomic_t depth, deepest, masked_inside;
static void nest(int sig)
{
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	masked_inside = sigismember(&now, sig);
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (depth < 3)
		raise(sig);
	depth--;
}

TEST(nested_handlers_with_nodefer)
{
	struct sigaction action = { .sa_handler = nest, .sa_flags = SA_NODEFER };
	OK(sigaction(SIGUSR1, &action, NULL));
	OK(raise(SIGUSR1));
	CHECK_EQ(deepest, 3);
	CHECK(!masked_inside);
}

static void raise_once(int sig)
{
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	masked_inside = sigismember(&now, sig);
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (caught++ == 0)
		raise(sig);
	depth--;
}

TEST(a_handler_masks_its_own_signal)
{
	signal(SIGUSR1, raise_once);
	OK(raise(SIGUSR1));
	CHECK_EQ(caught, 2);
	CHECK_EQ(deepest, 1);
	CHECK(masked_inside);
}

TEST(resethand_goes_back_to_default)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESETHAND };
	OK(sigaction(SIGUSR1, &action, NULL));
	OK(raise(SIGUSR1));
	CHECK_EQ(caught, 1);
	pid_t child = IN_CHILD(raise(SIGUSR1));
	EXPECT_KILLED(child, SIGUSR1);
}

static char alternate[64 << 10];
static volatile int was_on_alternate;
static void look_at_stack(int sig)
{
	char here;
	stack_t now;
	(void)sig;
	sigaltstack(NULL, &now);
	was_on_alternate = &here >= alternate && &here < alternate + sizeof alternate && (now.ss_flags & SS_ONSTACK);
}

TEST(alternate_stack)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate }, now;
	struct sigaction action = { .sa_handler = look_at_stack, .sa_flags = SA_ONSTACK };
	OK(sigaltstack(&stack, NULL));
	OK(sigaction(SIGUSR1, &action, NULL));
	OK(raise(SIGUSR1));
	CHECK(was_on_alternate);
	action.sa_flags = 0;
	OK(sigaction(SIGUSR1, &action, NULL));
	OK(raise(SIGUSR1));
	CHECK(!was_on_alternate);
	OK(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, 0);
	stack.ss_size = 100;
	FAILS(sigaltstack(&stack, NULL), ENOMEM);
	stack.ss_flags = 77;
	FAILS(sigaltstack(&stack, NULL), EINVAL);
}

static void exit_on_overflow(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	char here;
	_exit(sig == SIGSEGV && &here >= alternate && &here < alternate + sizeof alternate ? 55 : 1);
}

static int recurse(volatile char *above)
{
	volatile char frame[4096];
	frame[0] = above[0];
	return frame[0] ? 0 : recurse(frame) + frame[0];
}

TEST(stack_overflow_is_handled_on_the_alternate_stack)
{
	pid_t child = IN_CHILD({
		stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
		char first = 0;
		OK(sigaltstack(&stack, NULL));
		on(SIGSEGV, exit_on_overflow, SA_ONSTACK);
		recurse(&first);
	});
	EXPECT_EXIT(child, 55);
}

static char *open_page;
static void open_it(int sig, siginfo_t *info, void *context)
{
	keep_info(sig, info, context);
	mprotect(open_page, 4096, PROT_READ | PROT_WRITE);
}

TEST(segv_tells_the_address_and_the_access_is_retried)
{
	open_page = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	on(SIGSEGV, open_it, 0);
	*(volatile char *)(open_page + 123) = 9;
	CHECK_EQ(open_page[123], 9);
	CHECK_EQ(caught, 1);
	CHECK_EQ(last_info.si_code, SEGV_ACCERR);
	CHECK(last_info.si_addr == open_page + 123);
}

static void skip_instruction(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	keep_info(sig, info, context);
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

TEST(segv_of_an_unmapped_page_and_a_changed_context)
{
	char *hole = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	OK(munmap(hole, 4096));
	on(SIGSEGV, skip_instruction, 0);
	long rax = (long)hole;
	__asm__ volatile("movb %%al, (%%rax)" : "+a"(rax)::"memory"); /* 2 bytes long */
	CHECK_EQ(rax, 4711);
	CHECK_EQ(last_info.si_code, SEGV_MAPERR);
	CHECK(last_info.si_addr == hole);
}

static void exit_with_code(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	_exit(info->si_code);
}

TEST(fpe_of_a_division_by_zero)
{
	pid_t child = IN_CHILD({
		on(SIGFPE, exit_with_code, 0);
		__asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; idivl %%ecx" ::: "eax", "ecx", "edx");
	});
	EXPECT_EXIT(child, FPE_INTDIV);
}

TEST(ill_of_an_undefined_instruction)
{
	pid_t child = IN_CHILD({
		on(SIGILL, exit_with_code, 0);
		__asm__ volatile("ud2");
	});
	EXPECT_EXIT(child, ILL_ILLOPN);
}

TEST(trap_of_a_breakpoint)
{
	on(SIGTRAP, keep_info, 0);
	__asm__ volatile("int3");
	CHECK_EQ(caught, 1);
	CHECK_EQ(last_info.si_code, SI_KERNEL);
}

TEST(bus_error_beyond_the_end_of_a_file)
{
	pid_t child = IN_CHILD({
		int fd = OK(open("short", O_RDWR | O_CREAT, 0600));
		OK(ftruncate(fd, 10));
		char *map = OK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0));
		on(SIGBUS, exit_with_code, 0);
		CHECK_EQ(map[100], 0); /* the rest of the last page is zeros */
		(void)*(volatile char *)(map + 4096);
	});
	EXPECT_EXIT(child, BUS_ADRERR);
}

TEST(a_blocked_fault_kills)
{
	pid_t child = IN_CHILD({
		on(SIGSEGV, exit_with_code, 0);
		block(SIGSEGV);
		*(volatile int *)8 = 1;
	});
	EXPECT_KILLED(child, SIGSEGV);
}

static void use_fpu(int sig)
{
	double x = sig;
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fninit; fldl %0; fstpl %0" : "+m"(x)
			 :: "xmm0", "xmm7", "xmm15");
}

TEST(fpu_state_survives_a_handler)
{
	signal(SIGUSR1, use_fpu);
	double in[3] = { 1.5, -2.25, 1e300 }, out[3], st = 3.125, st_out;
	unsigned mxcsr = 0x7f80, mxcsr_out; /* rounds towards zero */
	unsigned old;
	long ret;
	__asm__ volatile("stmxcsr %0" : "=m"(old));
	__asm__ volatile("movsd %[a], %%xmm0; movsd %[b], %%xmm7; movsd %[c], %%xmm15; fldl %[st]; ldmxcsr %[cr]\n\t"
			 "mov %[nr], %%eax; syscall\n\t"
			 "movsd %%xmm0, %[oa]; movsd %%xmm7, %[ob]; movsd %%xmm15, %[oc]; fstpl %[so]; stmxcsr %[cro]"
			 : "=a"(ret), [oa] "=m"(out[0]), [ob] "=m"(out[1]), [oc] "=m"(out[2]), [so] "=m"(st_out),
			   [cro] "=m"(mxcsr_out)
			 : [a] "m"(in[0]), [b] "m"(in[1]), [c] "m"(in[2]), [st] "m"(st), [cr] "m"(mxcsr),
			   [nr] "i"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
			 : "rcx", "r11", "xmm0", "xmm7", "xmm15", "memory");
	__asm__ volatile("ldmxcsr %0" ::"m"(old));
	CHECK_EQ(ret, 0);
	CHECK(out[0] == in[0] && out[1] == in[1] && out[2] == in[2]);
	CHECK(st_out == st);
	CHECK_EQ(mxcsr_out, mxcsr);
}

static void clear_vectors(int sig)
{
	(void)sig;
	__asm__ volatile("vzeroall" ::: "memory"); /* the processor takes them for unused then */
}

TEST(wide_vectors_survive_many_handlers)
{
	if (!__builtin_cpu_supports("avx"))
		return;
	pid_t pid = getpid();
	for (int i = 0; i < 200; i++) {
		long in[4] = { i, ~i, i * 3, 1L << 62 }, out[4], ret;
		/* From the beginning with a handler that leaves them alone, in between with one that does not. */
		signal(SIGUSR1, i % 3 ? clear_vectors : count);
		__asm__ volatile("vmovdqu %[in], %%ymm15\n\tmov %[nr], %%eax; syscall\n\tvmovdqu %%ymm15, %[out]\n\tvzeroupper"
				 : "=a"(ret), [out] "=m"(out)
				 : [in] "m"(in), [nr] "i"(SYS_kill), "D"(pid), "S"(SIGUSR1)
				 : "rcx", "r11", "xmm15", "memory");
		CHECK_EQ(ret, 0);
		CHECK(memcmp(in, out, sizeof in) == 0);
	}
}

TEST(registers_survive_an_asynchronous_handler)
{
	signal(SIGALRM, count);
	struct timespec tick = { .tv_nsec = 1000000 };
	timer_t timer;
	OK(timer_create(CLOCK_MONOTONIC, NULL, &timer));
	OK(timer_settime(timer, 0, &(struct itimerspec){ tick, tick }, NULL));
	uint64_t x = 1, y = 1;
	for (int i = 0; i < 20000000 && caught < 50; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		uint64_t copy = x;
		__asm__ volatile("" : "+r"(copy));
		y = y * 6364136223846793005u + 1442695040888963407u;
		if (copy != y)
			fail("a register changed under a signal");
	}
	CHECK(caught > 0);
}

TEST(sigchld_tells_how_the_child_ended)
{
	on(SIGCHLD, keep_info, 0);
	block(SIGCHLD);
	sigset_t set = set_of(SIGCHLD);
	siginfo_t info;
	pid_t child = IN_CHILD(_exit(42));
	CHECK_EQ(OK(sigwaitinfo(&set, &info)), SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 42);
	CHECK_EQ(info.si_pid, child);
	EXPECT_EXIT(child, 42);
	child = IN_CHILD(pause());
	OK(kill(child, SIGTERM));
	CHECK_EQ(OK(sigwaitinfo(&set, &info)), SIGCHLD);
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_EQ(info.si_status, SIGTERM);
}

TEST(kill_reaches_a_whole_group)
{
	pid_t first = IN_CHILD({
		setpgid(0, 0);
		pause();
	});
	setpgid(first, first);
	pid_t second = IN_CHILD({
		setpgid(0, first);
		pause();
	});
	setpgid(second, first);
	OK(kill(-first, SIGTERM));
	EXPECT_KILLED(first, SIGTERM);
	EXPECT_KILLED(second, SIGTERM);
	FAILS(kill(-first, SIGTERM), ESRCH);
}

TEST(errors_of_kill_and_sigaction)
{
	FAILS(kill(getpid(), 65), EINVAL);
	FAILS(kill(0x3ffffff, 0), ESRCH);
	OK(kill(getpid(), 0));
	struct sigaction action = { .sa_handler = count };
	FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
	FAILS(sigaction(SIGSTOP, &action, NULL), EINVAL);
	sigset_t set = set_of(SIGKILL), now;
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(!sigismember(&now, SIGKILL));
}

static atomic_int receiver;
static void note_receiver(int sig)
{
	(void)sig;
	atomic_store(&receiver, gettid());
}

static atomic_int thread_tid, thread_done;
static void *wait_in_thread(void *arg)
{
	atomic_store(&thread_tid, gettid());
	while (!atomic_load(&thread_done))
		sleep_ms(1);
	return arg;
}

TEST(signals_go_to_the_named_thread_or_to_one_that_takes_them)
{
	pthread_t thread;
	signal(SIGUSR1, note_receiver);
	CHECK_EQ(pthread_create(&thread, NULL, wait_in_thread, NULL), 0);
	WAIT_FOR(atomic_load(&thread_tid));
	CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
	WAIT_FOR(atomic_load(&receiver) == atomic_load(&thread_tid));
	atomic_store(&receiver, 0);
	block(SIGUSR1); /* in this thread only: the other one has to take it */
	OK(kill(getpid(), SIGUSR1));
	WAIT_FOR(atomic_load(&receiver) == atomic_load(&thread_tid));
	atomic_store(&thread_done, 1);
	pthread_join(thread, NULL);
}

TEST(default_actions)
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGIO,
				      SIGPROF, SIGVTALRM, SIGXCPU, SIGSYS };
	static const int harmless[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
		pid_t child = IN_CHILD(pause());
		OK(kill(child, deadly[i]));
		EXPECT_KILLED(child, deadly[i]);
	}
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
		pid_t child = IN_CHILD({
			sleep_ms(10);
			_exit(3);
		});
		OK(kill(child, harmless[i]));
		EXPECT_EXIT(child, 3);
	}
}

static void spoil_fpu_pointer(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	((ucontext_t *)context)->uc_mcontext.fpregs = (void *)8;
}

static void spoil_mxcsr(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr = 0xffffffff;
}

static void spoil_magic(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	/* Without the magic number only the legacy part counts. */
	memset((char *)((ucontext_t *)context)->uc_mcontext.fpregs + 464, 0xff, 48);
}

static void return_without_frame(int sig)
{
	(void)sig;
	__asm__ volatile("mov $64, %%rsp; mov %[nr], %%eax; syscall" ::[nr] "i"(SYS_rt_sigreturn) : "memory");
}

TEST(spoilt_frames_are_faults)
{
	void (*const spoilers[])(int, siginfo_t *, void *) = { spoil_fpu_pointer, spoil_mxcsr };
	for (size_t i = 0; i < sizeof spoilers / sizeof *spoilers; i++) {
		pid_t child = IN_CHILD({
			on(SIGUSR1, spoilers[i], 0);
			raise(SIGUSR1);
		});
		EXPECT_KILLED(child, SIGSEGV);
	}
	pid_t child = IN_CHILD({
		signal(SIGUSR1, return_without_frame);
		raise(SIGUSR1);
	});
	EXPECT_KILLED(child, SIGSEGV);
	child = IN_CHILD({
		on(SIGUSR1, spoil_magic, 0);
		raise(SIGUSR1);
		_exit(4);
	});
	EXPECT_EXIT(child, 4);
}

TEST(a_handler_without_room_for_its_frame_is_a_fault)
{
	pid_t child = IN_CHILD({
		static char tiny[4096];
		stack_t stack = { .ss_sp = tiny, .ss_size = 2048 };
		on(SIGUSR1, keep_info, SA_ONSTACK);
		OK(sigaltstack(&stack, NULL));
		char *guard = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		OK(mprotect(guard, 4096, PROT_NONE));
		stack = (stack_t){ .ss_sp = guard, .ss_size = 4096 };
		OK(sigaltstack(&stack, NULL));
		raise(SIGUSR1); /* the whole alternate stack can't be written */
	});
	EXPECT_KILLED(child, SIGSEGV);
}

static int queue_is_full(int limit)
{
	struct rlimit none = { (rlim_t)limit, (rlim_t)limit };
	block(SIGRTMIN);
	OK(setrlimit(RLIMIT_SIGPENDING, &none));
	for (int i = 0; i < limit + 100; i++)
		if (sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }))
			return errno == EAGAIN;
	return 0;
}

TEST(the_queue_is_limited)
{
	pid_t child = IN_CHILD(CHECK(queue_is_full(20)));
	EXPECT_EXIT(child, 0);
}

static volatile sig_atomic_t alarms;
static void count_alarm(int sig)
{
	(void)sig;
	alarms++;
}

TEST(alarms_reach_a_busy_loop)
{
	struct sigaction action = { .sa_handler = count_alarm };
	struct itimerval every = { { 0, 10000 }, { 0, 10000 } };
	OK(sigaction(SIGALRM, &action, NULL));
	OK(setitimer(ITIMER_REAL, &every, NULL));
	while (alarms < 5)
		;
}

TEST(a_stop_reaches_a_busy_process)
{
	atomic_ulong *count = shared_memory(sizeof *count);
	pid_t child = IN_CHILD({
		for (;;)
			atomic_fetch_add(count, 1);
	});
	int status;
	WAIT_FOR(atomic_load(count) > 0);
	OK(kill(child, SIGSTOP));
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	unsigned long stopped = atomic_load(count);
	sleep_ms(30);
	CHECK_EQ(atomic_load(count), stopped);
	OK(kill(child, SIGCONT));
	WAIT_FOR(atomic_load(count) > stopped);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
