/*
 * execve(2): what the new program is given, what it keeps and what it loses.
 *
 * The program executes itself: with the argument "--show THING" it looks at one thing and tells by its exit code.
 */
#include "test.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static const char *self = "/proc/self/exe";

static pid_t exec_self(const char *thing, const char *argument)
{
	char *argv[] = { "exec", "--show", (char *)thing, (char *)argument, NULL };
	char *envp[] = { "COLOUR=blue", "EMPTY=", NULL };
	return IN_CHILD({
		execve(self, argv, envp);
		_exit(99);
	});
}

TEST(arguments_and_environment)
{
	EXPECT_EXIT(exec_self("args", "one  two"), 0);
}

TEST(auxiliary_vector)
{
	EXPECT_EXIT(exec_self("auxv", NULL), 0);
}

TEST(close_on_exec)
{
	int kept = OK(open("/dev/null", O_RDONLY)), closed = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
	char text[40];
	snprintf(text, sizeof text, "%d %d", kept, closed);
	EXPECT_EXIT(exec_self("descriptors", text), 0);
	OK(fcntl(closed, F_GETFD));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(handlers_are_reset_ignored_and_blocked_kept)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(kill(getpid(), SIGHUP));
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	/* A pending signal outlives exec, but not fork: so this child sends itself another one. */
	pid_t child = IN_CHILD({
		raise(SIGHUP);
		execl(self, "exec", "--show", "signals", NULL);
	});
	EXPECT_EXIT(child, 0);
}

TEST(ids_stay)
{
	char text[40];
	pid_t child = IN_CHILD({
		snprintf(text, sizeof text, "%d %d", getpid(), getppid());
		execl(self, "exec", "--show", "ids", text, NULL);
	});
	EXPECT_EXIT(child, 0);
}

static void *exec_in_thread(void *arg)
{
	execl(self, "exec", "--show", "ids", arg, NULL);
	_exit(98);
}

static void *sleep_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

TEST(exec_from_a_thread_becomes_the_leader)
{
	char text[40];
	pid_t child = IN_CHILD({
		pthread_t thread;
		snprintf(text, sizeof text, "%d %d", getpid(), getppid());
		pthread_create(&thread, NULL, sleep_forever, NULL);
		pthread_create(&thread, NULL, exec_in_thread, text);
		sleep_forever(NULL);
	});
	EXPECT_EXIT(child, 0);
}

static void write_script(const char *name, const char *text)
{
	write_file(name, text);
	OK(chmod(name, 0755));
}

TEST(scripts)
{
	write_script("script", "#!/bin/sh -e\ntest \"$0\" = ./script && test \"$1\" = 'a b' && exit 12\n");
	pid_t child = IN_CHILD({
		execl("./script", "wrong name", "a b", NULL);
		_exit(99);
	});
	EXPECT_EXIT(child, 12);
	write_script("outer", "#! ./script   a b  \n"); /* the rest of the line is one argument */
	child = IN_CHILD({
		execl("./outer", "outer", NULL);
		_exit(99);
	});
	EXPECT_EXIT(child, 12);
}

TEST(errors)
{
	char *argv[] = { "x", NULL };
	FAILS(execv("missing", argv), ENOENT);
	write_file("plain", "#!/bin/sh\n");
	FAILS(execv("./plain", argv), EACCES);
	FAILS(execv("/tmp", argv), EACCES);
	FAILS(execv("./plain/below", argv), ENOTDIR);
	write_script("garbage", "\001\002\003\004");
	FAILS(execv("./garbage", argv), ENOEXEC);
	write_script("empty", "");
	FAILS(execv("./empty", argv), ENOEXEC);
	write_script("lost", "#!/no/such/interpreter\n");
	FAILS(execv("./lost", argv), ENOENT);
	write_script("loop", "#!./loop\n");
	FAILS(execv("./loop", argv), ELOOP);
	write_script("truncated", "\177ELF\002\001\001");
	FAILS(execv("./truncated", argv), ENOEXEC);
	FAILS(execv("", argv), ENOENT);
}

TEST(arguments_too_long)
{
	static char *argv[3] = { "x" };
	char *big = OK(mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memset(big, 'a', (8 << 20) - 1);
	argv[1] = big;
	FAILS(execv(self, argv), E2BIG);
	big[100000] = 0;
	EXPECT_EXIT(exec_self("length", big), 0);
}

TEST(execveat_of_a_descriptor)
{
	int fd = OK(open(self, O_PATH | O_CLOEXEC));
	char *argv[] = { "exec", "--show", "args", "one  two", NULL }, *envp[] = { "COLOUR=blue", "EMPTY=", NULL };
	pid_t child = IN_CHILD({
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(99);
	});
	EXPECT_EXIT(child, 0);
	FAILS(syscall(SYS_execveat, fd, "", argv, envp, 0), ENOENT);
}

TEST(memory_is_new_and_name_follows)
{
	EXPECT_EXIT(exec_self("name", NULL), 0);
}

TEST(a_running_file_cannot_be_written)
{
	OK(symlink("/bin/sleep", "link"));
	write_script("copy", "");
	int from = OK(open("/bin/sleep", O_RDONLY)), to = OK(open("copy", O_WRONLY));
	char buffer[65536];
	ssize_t n;
	while ((n = OK(read(from, buffer, sizeof buffer))) > 0)
		CHECK_EQ(write(to, buffer, (size_t)n), n);
	char *argv[] = { "copy", "5", NULL };
	FAILS(execv("./copy", argv), ETXTBSY);
	OK(close(to));
	int p[2];
	char c;
	OK(pipe2(p, O_CLOEXEC));
	pid_t child = IN_CHILD(execv("./copy", argv));
	OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0); /* closed by the exec */
	FAILS(open("copy", O_WRONLY), ETXTBSY);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

static int show_auxv(void)
{
	const char *random = (const char *)getauxval(AT_RANDOM), *name = (const char *)getauxval(AT_EXECFN);
	int zeros = 0;
	if (getauxval(AT_PAGESZ) != 4096 || getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid() ||
	    getauxval(AT_SECURE) || !getauxval(AT_PHDR) || getauxval(AT_PHENT) != sizeof(Elf64_Phdr) || !random || !name)
		return 1;
	for (int i = 0; i < 16; i++)
		zeros += !random[i];
	if (zeros > 8 || strcmp(name, "/proc/self/exe") || getauxval(AT_CLKTCK) != 100)
		return 2;
	return 0;
}

static int show_signals(void)
{
	struct sigaction one, two;
	sigset_t now, pending;
	sigaction(SIGUSR1, NULL, &one);
	sigaction(SIGUSR2, NULL, &two);
	sigprocmask(SIG_BLOCK, NULL, &now);
	sigpending(&pending);
	return !(one.sa_handler == SIG_DFL && two.sa_handler == SIG_IGN && sigismember(&now, SIGHUP) &&
		 sigismember(&pending, SIGHUP));
}

static int show(char **argv)
{
	const char *thing = argv[2], *argument = argv[3];
	extern char **environ;
	char text[40], name[17] = "";
	int kept, closed;
	if (!strcmp(thing, "args"))
		return strcmp(argv[0], "exec") || strcmp(argument, "one  two") || argv[4] || strcmp(environ[0], "COLOUR=blue") ||
		       strcmp(environ[1], "EMPTY=") || environ[2];
	if (!strcmp(thing, "auxv"))
		return show_auxv();
	if (!strcmp(thing, "descriptors"))
		return sscanf(argument, "%d %d", &kept, &closed) != 2 || fcntl(kept, F_GETFD) || fcntl(closed, F_GETFD) != -1;
	if (!strcmp(thing, "signals"))
		return show_signals();
	if (!strcmp(thing, "ids")) {
		snprintf(text, sizeof text, "%d %d", getpid(), getppid());
		return strcmp(text, argument) || gettid() != getpid();
	}
	if (!strcmp(thing, "length"))
		return strlen(argument) != 100000;
	if (!strcmp(thing, "name"))
		return prctl(PR_GET_NAME, name) || strcmp(name, "exe");
	return 98;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--show"))
		return show(argv);
	return run_tests(argc, argv);
}
