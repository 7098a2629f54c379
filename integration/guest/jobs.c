/* Process groups, sessions, job control and pseudo-terminals. */
#include "test.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>

TEST(a_new_session)
{
	pid_t child = IN_CHILD({
		CHECK_EQ(setsid(), getpid());
		CHECK_EQ(getsid(0), getpid());
		CHECK_EQ(getpgrp(), getpid());
		FAILS(setsid(), EPERM);
		FAILS(setpgid(0, 0), EPERM);
	});
	EXPECT_EXIT(child, 0);
	FAILS(setsid(), EPERM); /* this case leads a group */
}

TEST(moving_between_groups)
{
	int p[2];
	char c;
	OK(pipe(p));
	pid_t child = IN_CHILD({
		close(p[1]);
		CHECK_EQ(read(p[0], &c, 1), 0);
	});
	CHECK_EQ(getpgid(child), getpgrp());
	OK(setpgid(child, child));
	CHECK_EQ(getpgid(child), child);
	OK(setpgid(child, getpgrp()));
	FAILS(setpgid(child, 0x3ffffff), EPERM);
	FAILS(setpgid(0x3ffffff, 0), ESRCH);
	FAILS(setpgid(child, -1), EINVAL);
	OK(close(p[1]));
	EXPECT_EXIT(child, 0);
}

TEST(not_after_exec)
{
	int p[2];
	char c;
	OK(pipe2(p, O_CLOEXEC));
	pid_t child = IN_CHILD(execl("/bin/sleep", "sleep", "5", NULL));
	OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0);
	FAILS(setpgid(child, child), EACCES);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

static int open_pty(char *name)
{
	int master = OK(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	OK(grantpt(master));
	OK(unlockpt(master));
	OK(ptsname_r(master, name, 64) ? -1 : 0);
	return master;
}

TEST(controlling_terminal_and_foreground_group)
{
	char name[64];
	int master = open_pty(name);
	pid_t child = IN_CHILD({
		OK(setsid());
		FAILS(open("/dev/tty", O_RDWR), ENXIO);
		int tty = OK(open(name, O_RDWR)); /* becomes the controlling terminal */
		OK(open("/dev/tty", O_RDWR));
		CHECK_EQ(tcgetpgrp(tty), getpid());
		CHECK_EQ(tcgetsid(tty), getpid());
		pid_t job = IN_CHILD({
			setpgid(0, 0);
			pause();
		});
		setpgid(job, job);
		OK(tcsetpgrp(tty, job));
		CHECK_EQ(tcgetpgrp(tty), job);
		CHECK_EQ(write(STDERR_FILENO, "", 0), 0);
		CHECK_EQ(write(tty, "r", 1), 1);
		EXPECT_KILLED(job, SIGINT);
	});
	char c;
	CHECK_EQ(read(master, &c, 1), 1);
	CHECK_EQ(write(master, "\003", 1), 1); /* Ctrl-C */
	EXPECT_EXIT(child, 0);
}

TEST(a_background_reader_is_stopped)
{
	char name[64];
	int master = open_pty(name);
	pid_t child = IN_CHILD({
		char line[20];
		OK(setsid());
		int tty = OK(open(name, O_RDWR));
		pid_t job = IN_CHILD({
			setpgid(0, 0);
			ssize_t n = read(tty, line, sizeof line);
			_exit(n == 3 ? 6 : 1);
		});
		int status;
		setpgid(job, job);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
		OK(tcsetpgrp(tty, job));
		OK(kill(-job, SIGCONT));
		CHECK_EQ(write(tty, "r", 1), 1);
		EXPECT_EXIT(job, 6);
	});
	char c;
	CHECK_EQ(read(master, &c, 1), 1);
	CHECK_EQ(write(master, "hi\n", 3), 3);
	EXPECT_EXIT(child, 0);
}

TEST(tostop_stops_a_background_writer)
{
	char name[64];
	int master = open_pty(name);
	pid_t child = IN_CHILD({
		OK(setsid());
		int tty = OK(open(name, O_RDWR)), status;
		struct termios t;
		OK(tcgetattr(tty, &t));
		t.c_lflag |= TOSTOP;
		OK(tcsetattr(tty, TCSANOW, &t));
		pid_t job = IN_CHILD({
			setpgid(0, 0);
			CHECK_EQ(write(tty, "x", 1), 1);
		});
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
		OK(kill(job, SIGKILL));
		EXPECT_KILLED(job, SIGKILL);
	});
	EXPECT_EXIT(child, 0);
	close(master);
}

TEST(ctrl_z_and_continue)
{
	char name[64];
	int master = open_pty(name);
	pid_t child = IN_CHILD({
		OK(setsid());
		int tty = OK(open(name, O_RDWR)), status;
		pid_t job = IN_CHILD({
			setpgid(0, 0);
			signal(SIGTTOU, SIG_IGN);
			OK(tcsetpgrp(tty, getpid()));
			CHECK_EQ(write(tty, "r", 1), 1);
			pause();
		});
		setpgid(job, job);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
		OK(kill(-job, SIGCONT));
		CHECK_EQ(waitpid(job, &status, WCONTINUED), job);
		OK(kill(-job, SIGTERM));
		EXPECT_KILLED(job, SIGTERM);
	});
	char c;
	CHECK_EQ(read(master, &c, 1), 1);
	CHECK_EQ(write(master, "\032", 1), 1);
	EXPECT_EXIT(child, 0);
}

TEST(an_orphaned_stopped_group_is_hung_up)
{
	pid_t *job = shared_memory(sizeof *job);
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid_t leader = IN_CHILD({
		OK(setsid());
		*job = IN_CHILD({
			setpgid(0, 0);
			raise(SIGSTOP);
			pause();
		});
		CHECK_EQ(waitpid(*job, NULL, WUNTRACED), *job);
	});
	EXPECT_EXIT(leader, 0);
	EXPECT_KILLED(*job, SIGHUP);
}

TEST(the_leaders_end_hangs_up_the_foreground_group)
{
	char name[64];
	int master = open_pty(name), p[2];
	OK(pipe(p));
	pid_t leader = IN_CHILD({
		OK(setsid());
		OK(open(name, O_RDWR));
		IN_CHILD({
			sigset_t set;
			int sig;
			sigemptyset(&set);
			sigaddset(&set, SIGHUP);
			sigprocmask(SIG_BLOCK, &set, NULL);
			CHECK_EQ(write(p[1], "r", 1), 1);
			sigwait(&set, &sig);
			CHECK_EQ(write(p[1], "h", 1), 1);
		});
		char ready;
		CHECK_EQ(read(p[0], &ready, 1), 1);
	});
	EXPECT_EXIT(leader, 0);
	char c;
	struct pollfd wait = { .fd = p[0], .events = POLLIN };
	CHECK_EQ(poll(&wait, 1, 5000), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'h');
	close(master);
}

TEST(terminal_line_discipline)
{
	char name[64], text[64];
	int master = open_pty(name), slave = OK(open(name, O_RDWR | O_NOCTTY));
	CHECK(isatty(slave));
	CHECK_EQ(write(master, "ab\177c\n", 5), 5); /* erase takes one letter back */
	ssize_t n = OK(read(slave, text, sizeof text));
	CHECK_EQ(n, 3);
	CHECK(!memcmp(text, "ac\n", 3));
	n = OK(read(master, text, sizeof text)); /* the echo */
	CHECK(n >= 2 && !memcmp(text, "ab", 2));
	CHECK_EQ(write(slave, "x\n", 2), 2);
	n = 0;
	while (n < 3 || memcmp(text + n - 3, "x\r\n", 3))
		n += OK(read(master, text + n, sizeof text - (size_t)n));
	struct termios t;
	OK(tcgetattr(slave, &t));
	cfmakeraw(&t);
	OK(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(write(master, "q", 1), 1);
	CHECK_EQ(read(slave, text, sizeof text), 1);
	CHECK_EQ(text[0], 'q');
}

TEST(window_size_and_its_signal)
{
	char name[64];
	int master = open_pty(name);
	struct winsize size = { .ws_row = 33, .ws_col = 101 }, got;
	pid_t child = IN_CHILD({
		sigset_t set;
		siginfo_t info;
		sigemptyset(&set);
		sigaddset(&set, SIGWINCH);
		sigprocmask(SIG_BLOCK, &set, NULL);
		OK(setsid());
		int tty = OK(open(name, O_RDWR));
		CHECK_EQ(write(tty, "r", 1), 1);
		CHECK_EQ(sigwaitinfo(&set, &info), SIGWINCH);
		OK(ioctl(tty, TIOCGWINSZ, &got));
		CHECK(got.ws_row == 33 && got.ws_col == 101);
	});
	char c;
	CHECK_EQ(read(master, &c, 1), 1);
	OK(ioctl(master, TIOCSWINSZ, &size));
	EXPECT_EXIT(child, 0);
}

TEST(closing_the_master_ends_reads_of_the_slave)
{
	char name[64], c;
	int master = open_pty(name), slave = OK(open(name, O_RDWR | O_NOCTTY));
	OK(close(master));
	CHECK_EQ(read(slave, &c, 1), 0);
	FAILS(write(slave, "x", 1), EIO);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
