/* Pseudo-terminals: their file system, the line discipline, packet mode, hang-ups; job control is in jobs.c. */
#include "test.h"
#include <dirent.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

struct pair {
	int master, slave;
	char name[64];
};

static struct pair open_pair(void)
{
	struct pair pty;
	pty.master = OK(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	OK(grantpt(pty.master));
	OK(unlockpt(pty.master));
	CHECK_EQ(ptsname_r(pty.master, pty.name, sizeof pty.name), 0);
	pty.slave = OK(open(pty.name, O_RDWR | O_NOCTTY));
	return pty;
}

static void set_local(int fd, tcflag_t off, tcflag_t on)
{
	struct termios t;
	OK(tcgetattr(fd, &t));
	t.c_lflag = (t.c_lflag & ~off) | on;
	OK(tcsetattr(fd, TCSANOW, &t));
}

static void type(struct pair *pty, const char *keys)
{
	CHECK_EQ(write(pty->master, keys, strlen(keys)), strlen(keys));
}

/* What comes within a moment. */
static const char *get(int fd)
{
	static char text[8192];
	size_t len = 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (len < sizeof text - 1 && poll(&wait, 1, 100) == 1 && wait.revents & POLLIN) {
		ssize_t n = read(fd, text + len, sizeof text - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
	return text;
}

TEST(names_and_numbers)
{
	struct pair pty = open_pair();
	struct stat by_name, by_fd;
	struct statfs fs;
	unsigned n;
	char name[64];
	OK(ioctl(pty.master, TIOCGPTN, &n));
	snprintf(name, sizeof name, "/dev/pts/%u", n);
	CHECK_STR(pty.name, name);
	OK(stat(pty.name, &by_name));
	OK(fstat(pty.slave, &by_fd));
	CHECK(S_ISCHR(by_name.st_mode));
	CHECK_EQ(by_name.st_ino, by_fd.st_ino);
	CHECK_EQ(by_name.st_dev, by_fd.st_dev);
	CHECK_EQ(major(by_fd.st_rdev), 136 + n / 256);
	CHECK_EQ(minor(by_fd.st_rdev), n % 256);
	CHECK_STR(ttyname(pty.slave), name);
	CHECK(isatty(pty.slave) && isatty(pty.master));
	OK(statfs("/dev/pts", &fs));
	CHECK_EQ(fs.f_type, 0x1cd1);
	OK(close(pty.slave));
	OK(close(pty.master));
	FAILS(stat(name, &by_name), ENOENT);
}

TEST(the_directory_lists_terminals)
{
	struct pair pty = open_pair();
	DIR *dir = opendir("/dev/pts");
	struct dirent *entry;
	int found = 0, ptmx = 0;
	CHECK(dir);
	while ((entry = readdir(dir))) {
		found += !strcmp(entry->d_name, pty.name + strlen("/dev/pts/"));
		ptmx += !strcmp(entry->d_name, "ptmx");
	}
	CHECK_EQ(found, 1);
	CHECK_EQ(ptmx, 1);
}

TEST(the_lock)
{
	int master = OK(posix_openpt(O_RDWR | O_NOCTTY)), locked;
	char name[64];
	CHECK_EQ(ptsname_r(master, name, sizeof name), 0);
	FAILS(open(name, O_RDWR | O_NOCTTY), EIO);
	OK(ioctl(master, TIOCGPTLCK, &locked));
	CHECK_EQ(locked, 1);
	OK(unlockpt(master));
	OK(open(name, O_RDWR | O_NOCTTY));
}

TEST(the_peer_without_its_name)
{
	struct pair pty = open_pair();
	int peer = OK(ioctl(pty.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	struct stat a, b;
	OK(fstat(peer, &a));
	OK(fstat(pty.slave, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(fcntl(peer, F_GETFD), FD_CLOEXEC);
	CHECK_STR(ttyname(peer), pty.name);
}

TEST(settings_are_shared_and_kept)
{
	struct pair pty = open_pair();
	struct termios t, other;
	OK(tcgetattr(pty.slave, &t));
	CHECK_EQ(t.c_iflag, ICRNL | IXON);
	CHECK_EQ(t.c_oflag, OPOST | ONLCR);
	CHECK_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	CHECK_EQ(t.c_cc[VINTR], 3);
	CHECK_EQ(cfgetospeed(&t), B38400);
	t.c_cc[VINTR] = 'q';
	cfsetspeed(&t, B9600);
	OK(tcsetattr(pty.slave, TCSADRAIN, &t));
	OK(tcgetattr(pty.master, &other));
	CHECK_EQ(other.c_cc[VINTR], 'q');
	CHECK_EQ(cfgetospeed(&other), B9600);
}

TEST(editing_a_line)
{
	struct pair pty = open_pair();
	type(&pty, "one twp\177o\027three\n");
	CHECK_STR(get(pty.slave), "one three\n");
	CHECK_STR(get(pty.master), "one twp\b \bo\b \b\b \b\b \bthree\r\n");
	type(&pty, "all of it\025new\026\003\n");
	CHECK_STR(get(pty.slave), "new\003\n");
	get(pty.master);
	set_local(pty.slave, ECHO, 0);
	type(&pty, "hidden\n");
	CHECK_STR(get(pty.slave), "hidden\n");
	CHECK_STR(get(pty.master), "");
}

TEST(an_end_of_file)
{
	struct pair pty = open_pair();
	char text[10];
	type(&pty, "ab\004\004");
	CHECK_EQ(read(pty.slave, text, sizeof text), 2);
	CHECK_EQ(read(pty.slave, text, sizeof text), 0);
	type(&pty, "c\n");
	CHECK_EQ(read(pty.slave, text, sizeof text), 2);
}

TEST(lines_in_parts)
{
	struct pair pty = open_pair();
	char text[10];
	int n;
	type(&pty, "abc\nde\n");
	/* Linux hands what was typed to the slave a little later */
	for (int tries = 0; tries < 500; tries++) {
		OK(ioctl(pty.slave, FIONREAD, &n));
		if (n == 7)
			break;
		sleep_ms(2);
	}
	CHECK_EQ(n, 7);
	CHECK_EQ(read(pty.slave, text, 2), 2);
	CHECK_EQ(read(pty.slave, text, sizeof text), 2);
	CHECK(!memcmp(text, "c\n", 2));
	CHECK_EQ(read(pty.slave, text, sizeof text), 3);
	OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
	type(&pty, "unfinished");
	sleep_ms(50);
	FAILS(read(pty.slave, text, sizeof text), EAGAIN);
	OK(ioctl(pty.slave, TCFLSH, TCIFLUSH));
	type(&pty, "x\n");
	CHECK_STR(get(pty.slave), "x\n");
}

TEST(minimum_and_time)
{
	struct pair pty = open_pair();
	struct termios t;
	struct pollfd wait = { .fd = pty.slave, .events = POLLIN };
	char text[10];
	OK(tcgetattr(pty.slave, &t));
	cfmakeraw(&t);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	CHECK_EQ(read(pty.slave, text, sizeof text), 0);
	t.c_cc[VTIME] = 2;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	int64_t start = now_ms();
	CHECK_EQ(read(pty.slave, text, sizeof text), 0);
	CHECK(now_ms() - start >= 150);
	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 0;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	type(&pty, "ab");
	CHECK_EQ(poll(&wait, 1, 0), 0);
	pid_t child = IN_CHILD({
		sleep_ms(50);
		type(&pty, "\r");
	});
	CHECK_EQ(read(pty.slave, text, sizeof text), 3);
	CHECK(!memcmp(text, "ab\r", 3));
	EXPECT_EXIT(child, 0);
	t.c_cc[VTIME] = 1;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	type(&pty, "x");
	CHECK_EQ(read(pty.slave, text, sizeof text), 1);
}

TEST(output_is_processed)
{
	struct pair pty = open_pair();
	struct termios t;
	CHECK_EQ(write(pty.slave, "a\tb\n", 4), 4);
	CHECK_STR(get(pty.master), "a\tb\r\n");
	OK(tcgetattr(pty.slave, &t));
	t.c_oflag |= XTABS;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	CHECK_EQ(write(pty.slave, "a\tb\n", 4), 4);
	CHECK_STR(get(pty.master), "a       b\r\n");
	t.c_oflag = 0;
	OK(tcsetattr(pty.slave, TCSANOW, &t));
	CHECK_EQ(write(pty.slave, "a\tb\n", 4), 4);
	CHECK_STR(get(pty.master), "a\tb\n");
}

TEST(output_can_be_stopped)
{
	struct pair pty = open_pair();
	struct pollfd wait = { .fd = pty.slave, .events = POLLOUT };
	CHECK_EQ(poll(&wait, 1, 0), 1);
	OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
	type(&pty, "\023");
	WAIT_FOR(write(pty.slave, "x", 1) < 0);
	CHECK_EQ(errno, EAGAIN);
	pid_t child = IN_CHILD({
		OK(fcntl(pty.slave, F_SETFL, 0));
		CHECK_EQ(write(pty.slave, "x", 1), 1);
	});
	WAIT_FOR(is_asleep(child));
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	type(&pty, "\021");
	EXPECT_EXIT(child, 0);
	OK(tcflow(pty.slave, TCOOFF));
	OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
	FAILS(write(pty.slave, "y", 1), EAGAIN);
	OK(tcflow(pty.slave, TCOON));
	CHECK_EQ(write(pty.slave, "y", 1), 1);
}

TEST(packet_mode_tells_what_happens)
{
	struct pair pty = open_pair();
	int on = 1;
	char text[10];
	OK(ioctl(pty.master, TIOCPKT, &on));
	CHECK_EQ(write(pty.slave, "hi", 2), 2);
	CHECK_EQ(read(pty.master, text, sizeof text), 3);
	CHECK(!memcmp(text, "\0hi", 3));
	OK(tcflush(pty.slave, TCIFLUSH));
	CHECK_EQ(read(pty.master, text, sizeof text), 1);
	CHECK_EQ(text[0], TIOCPKT_FLUSHREAD);
}

TEST(a_long_line_and_a_full_queue)
{
	struct pair pty = open_pair();
	static char line[6000], back[6000];
	set_local(pty.slave, ECHO, 0);
	memset(line, 'x', sizeof line);
	CHECK_EQ(write(pty.master, line, 4095), 4095);
	type(&pty, "\n");
	CHECK_EQ(read(pty.slave, back, sizeof back), 4096);
	OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
	ssize_t total = 0, n;
	struct pollfd wait = { .fd = pty.slave, .events = POLLOUT };
	/* Linux may move what was written from one queue to the next meanwhile. */
	do {
		while ((n = write(pty.slave, line, sizeof line)) > 0)
			total += n;
		CHECK_EQ(errno, EAGAIN);
		CHECK(total < 200000);
	} while (poll(&wait, 1, 50) != 0);
	CHECK(total >= 4096);
}

TEST(closing_the_slave)
{
	struct pair pty = open_pair();
	struct pollfd wait = { .fd = pty.master, .events = POLLIN };
	char text[10];
	CHECK_EQ(write(pty.slave, "last", 4), 4);
	OK(close(pty.slave));
	CHECK_EQ(read(pty.master, text, sizeof text), 4);
	CHECK_EQ(poll(&wait, 1, 1000), 1);
	CHECK(wait.revents & POLLHUP);
	FAILS(read(pty.master, text, 1), EIO);
	pty.slave = OK(open(pty.name, O_RDWR | O_NOCTTY));
	CHECK_EQ(poll(&wait, 1, 0), 0);
}

TEST(closing_the_master)
{
	struct pair pty = open_pair();
	struct pollfd wait = { .fd = pty.slave, .events = POLLIN };
	struct termios t;
	char c;
	OK(close(pty.master));
	CHECK_EQ(poll(&wait, 1, 1000), 1);
	CHECK((wait.revents & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP));
	CHECK_EQ(read(pty.slave, &c, 1), 0);
	FAILS(write(pty.slave, "x", 1), EIO);
	FAILS(tcgetattr(pty.slave, &t), EIO);
	FAILS(open(pty.name, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(closing_the_master_hangs_up_the_session)
{
	struct pair pty = open_pair();
	int p[2];
	char c;
	OK(pipe(p));
	OK(close(pty.slave));
	pid_t leader = IN_CHILD({
		OK(close(pty.master));
		OK(setsid());
		OK(open(pty.name, O_RDWR));
		OK(open("/dev/tty", O_RDWR));
		CHECK_EQ(write(p[1], "r", 1), 1);
		pause();
	});
	CHECK_EQ(read(p[0], &c, 1), 1);
	OK(close(pty.master));
	EXPECT_KILLED(leader, SIGHUP);
}

TEST(taking_and_leaving_a_terminal)
{
	struct pair pty = open_pair();
	FAILS(ioctl(pty.slave, TIOCSCTTY, 0), EPERM); /* no session leader */
	pid_t child = IN_CHILD({
		pid_t group;
		OK(setsid());
		FAILS(ioctl(pty.slave, TIOCGPGRP, &group), ENOTTY);
		OK(ioctl(pty.slave, TIOCSCTTY, 0));
		OK(ioctl(pty.slave, TIOCSCTTY, 0));
		OK(close(OK(open("/dev/tty", O_RDWR))));
		OK(ioctl(pty.slave, TIOCGPGRP, &group));
		CHECK_EQ(group, getpid());
		FAILS(tcsetpgrp(pty.slave, getppid()), EPERM);
		FAILS(tcsetpgrp(pty.slave, 0x3ffffff), ESRCH);
		signal(SIGHUP, SIG_IGN);
		OK(ioctl(pty.slave, TIOCNOTTY));
		FAILS(open("/dev/tty", O_RDWR), ENXIO);
		OK(ioctl(pty.slave, TIOCSCTTY, 0));
		pid_t thief = IN_CHILD({
			OK(setsid());
			FAILS(ioctl(pty.slave, TIOCSCTTY, 0), EPERM);
		});
		EXPECT_EXIT(thief, 0);
	});
	EXPECT_EXIT(child, 0);
}

TEST(stat_of_a_process_names_the_terminal)
{
	struct pair pty = open_pair();
	struct stat st;
	pid_t child = IN_CHILD({
		int number, foreground;
		OK(setsid());
		OK(ioctl(pty.slave, TIOCSCTTY, 0));
		OK(fstat(pty.slave, &st));
		const char *rest = strrchr(read_file("/proc/self/stat"), ')');
		CHECK_EQ(sscanf(rest + 2, "%*c %*d %*d %*d %d %d", &number, &foreground), 2);
		CHECK_EQ(number, st.st_rdev);
		CHECK_EQ(foreground, getpid());
	});
	EXPECT_EXIT(child, 0);
}

TEST(nobody_types_for_others)
{
	struct pair pty = open_pair();
	struct pollfd wait = { .fd = pty.slave, .events = POLLIN };
	unsigned count;
	OK(ioctl(pty.slave, TIOCOUTQ, &count));
	CHECK_EQ(count, 0);
	FAILS(ioctl(pty.slave, TIOCGPTN, &count), ENOTTY);
	FAILS(ioctl(pty.slave, 0x54ff, &count), ENOTTY);
	CHECK_EQ(poll(&wait, 1, 0), 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
