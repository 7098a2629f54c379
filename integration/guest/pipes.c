/* Pipes and FIFOs. */
#include "test.h"
#include <poll.h>
#include <sys/ioctl.h>

TEST(data_comes_in_order_and_then_the_end)
{
	int p[2];
	char text[10];
	OK(pipe(p));
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_EQ(write(p[1], "def", 3), 3);
	CHECK_EQ(read(p[0], text, 4), 4);
	CHECK(!memcmp(text, "abcd", 4));
	OK(close(p[1]));
	CHECK_EQ(read(p[0], text, 10), 2);
	CHECK_EQ(read(p[0], text, 10), 0);
}

TEST(the_end_comes_when_the_last_writer_closes)
{
	int p[2];
	char c;
	OK(pipe(p));
	int64_t start = now_ms();
	pid_t child = IN_CHILD({
		close(p[0]);
		sleep_ms(50);
	});
	OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0);
	CHECK(now_ms() - start >= 49);
	EXPECT_EXIT(child, 0);
}

static volatile sig_atomic_t broken;
static void on_pipe(int sig)
{
	(void)sig;
	broken++;
}

TEST(writing_without_a_reader)
{
	int p[2];
	OK(pipe(p));
	OK(close(p[0]));
	pid_t child = IN_CHILD(write(p[1], "x", 1));
	EXPECT_KILLED(child, SIGPIPE);
	signal(SIGPIPE, on_pipe);
	FAILS(write(p[1], "x", 1), EPIPE);
	CHECK_EQ(broken, 1);
	signal(SIGPIPE, SIG_IGN);
	FAILS(write(p[1], "x", 1), EPIPE);
}

TEST(a_blocked_writer_learns_of_the_readers_end)
{
	int p[2];
	static char big[1 << 20];
	OK(pipe(p));
	signal(SIGPIPE, SIG_IGN);
	pid_t child = IN_CHILD({
		close(p[1]);
		sleep_ms(50);
	});
	OK(close(p[0]));
	CHECK_EQ(write(p[1], big, sizeof big), 65536);
	FAILS(write(p[1], "x", 1), EPIPE);
	EXPECT_EXIT(child, 0);
}

TEST(non_blocking)
{
	int p[2];
	char buffer[4096] = "";
	long total = 0, n;
	OK(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	CHECK(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	FAILS(read(p[0], buffer, 1), EAGAIN);
	while ((n = write(p[1], buffer, sizeof buffer)) > 0)
		total += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(total, 65536);
	CHECK_EQ(read(p[0], buffer, 100), 100);
	FAILS(write(p[1], buffer, 4096), EAGAIN); /* all or nothing up to PIPE_BUF */
	struct pollfd out = { .fd = p[1], .events = POLLOUT };
	CHECK_EQ(poll(&out, 1, 0), 0);
	while ((n = read(p[0], buffer, sizeof buffer)) > 0)
		total -= n;
	CHECK_EQ(total, 100);
	static char big[100000];
	CHECK_EQ(write(p[1], big, sizeof big), 65536); /* as much as fits */
	FAILS(pipe2(p, 0x40000000), EINVAL);
}

TEST(small_writes_are_atomic)
{
	enum { WRITERS = 4, RECORDS = 100, RECORD = 4096 };
	int p[2];
	static char record[RECORD];
	OK(pipe(p));
	pid_t children[WRITERS];
	for (int i = 0; i < WRITERS; i++)
		children[i] = IN_CHILD({
			memset(record, 'a' + i, RECORD);
			for (int k = 0; k < RECORDS; k++)
				CHECK_EQ(write(p[1], record, RECORD), RECORD);
		});
	OK(close(p[1]));
	for (int k = 0; k < WRITERS * RECORDS; k++) {
		size_t have = 0;
		while (have < RECORD)
			have += (size_t)OK(read(p[0], record + have, RECORD - have));
		for (int i = 1; i < RECORD; i++)
			CHECK_EQ(record[i], record[0]);
	}
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EXIT(children[i], 0);
}

TEST(big_writes_go_through)
{
	enum { SIZE = 3 << 20 };
	int p[2];
	char *data = malloc(SIZE);
	OK(pipe(p));
	for (int i = 0; i < SIZE; i++)
		data[i] = (char)(i * 7 + i / 1000);
	pid_t child = IN_CHILD(CHECK_EQ(write(p[1], data, SIZE), SIZE));
	OK(close(p[1]));
	char *got = malloc(SIZE);
	size_t have = 0;
	ssize_t n;
	while ((n = OK(read(p[0], got + have, 12345))) > 0)
		have += (size_t)n;
	CHECK_EQ(have, SIZE);
	CHECK(!memcmp(got, data, SIZE));
	EXPECT_EXIT(child, 0);
}

TEST(capacity)
{
	int p[2], waiting;
	static char big[1 << 18];
	OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
	CHECK_EQ(OK(fcntl(p[1], F_SETPIPE_SZ, 200000)), 262144); /* rounded up to a power of two */
	CHECK_EQ(write(p[1], big, sizeof big), sizeof big);
	OK(ioctl(p[0], FIONREAD, &waiting));
	CHECK_EQ(waiting, sizeof big);
	FAILS(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	FAILS(fcntl(OK(open("/dev/null", O_RDWR)), F_GETPIPE_SZ), EBADF);
}

TEST(wrong_directions)
{
	int p[2];
	char c;
	OK(pipe(p));
	FAILS(read(p[1], &c, 1), EBADF);
	FAILS(write(p[0], "x", 1), EBADF);
	struct stat st;
	OK(fstat(p[0], &st));
	CHECK(S_ISFIFO(st.st_mode));
}

TEST(fifos_open_together)
{
	char c = 0;
	OK(mkfifo("fifo", 0600));
	int64_t start = now_ms();
	pid_t child = IN_CHILD({
		sleep_ms(50);
		int out = OK(open("fifo", O_WRONLY));
		CHECK_EQ(write(out, "f", 1), 1);
	});
	int in = OK(open("fifo", O_RDONLY)); /* waits for the writer */
	CHECK(now_ms() - start >= 49);
	CHECK_EQ(read(in, &c, 1), 1);
	CHECK_EQ(c, 'f');
	EXPECT_EXIT(child, 0);
	CHECK_EQ(read(in, &c, 1), 0);
}

TEST(fifos_without_waiting)
{
	char c;
	OK(mkfifo("fifo", 0600));
	FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	int in = OK(open("fifo", O_RDONLY | O_NONBLOCK));
	CHECK_EQ(read(in, &c, 1), 0); /* no writer yet: the end */
	int out = OK(open("fifo", O_WRONLY | O_NONBLOCK));
	FAILS(read(in, &c, 1), EAGAIN);
	CHECK_EQ(write(out, "x", 1), 1);
	CHECK_EQ(read(in, &c, 1), 1);
	int both = OK(open("fifo", O_RDWR));
	CHECK_EQ(write(both, "y", 1), 1);
	CHECK_EQ(read(both, &c, 1), 1);
}

TEST(polling)
{
	int p[2];
	OK(pipe(p));
	struct pollfd fds[2] = { { .fd = p[0], .events = POLLIN }, { .fd = p[1], .events = POLLOUT } };
	CHECK_EQ(poll(fds, 2, 0), 1);
	CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(poll(fds, 2, 0), 2);
	CHECK_EQ(fds[0].revents, POLLIN);
	OK(close(p[1]));
	CHECK_EQ(poll(fds, 1, 0), 1);
	CHECK_EQ(fds[0].revents, POLLIN | POLLHUP);
	OK(pipe(p));
	OK(close(p[0]));
	fds[1].fd = p[1];
	CHECK_EQ(poll(&fds[1], 1, 0), 1);
	CHECK_EQ(fds[1].revents, POLLOUT | POLLERR);
}

TEST(reopening_through_proc)
{
	int p[2];
	char path[40], c;
	OK(pipe(p));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	int writer = OK(open(path, O_WRONLY));
	CHECK_EQ(write(writer, "z", 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	char target[60] = "";
	OK(readlink(path, target, sizeof target - 1));
	CHECK(!strncmp(target, "pipe:[", 6));
	CHECK_EQ(write(p[1], "last", 4), 4);
	OK(close(writer));
	OK(close(p[1]));
	int reader = OK(open(path, O_RDONLY)); /* unlike a FIFO it does not wait for a writer */
	CHECK_EQ(read(reader, path, 10), 4);
	CHECK_EQ(read(reader, path, 10), 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
