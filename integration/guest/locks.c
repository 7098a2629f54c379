/* Record locks (fcntl), open-file-description locks and flock(2). */
#include "test.h"
#include <sys/file.h>

static struct flock lock_of(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static int set_lock(int fd, short type, off_t start, off_t len)
{
	struct flock lock = lock_of(type, start, len);
	return fcntl(fd, F_SETLK, &lock);
}

static int set_ofd_lock(int fd, short type, off_t start, off_t len)
{
	struct flock lock = lock_of(type, start, len);
	return fcntl(fd, F_OFD_SETLK, &lock);
}

/* Does the body in another process. */
#define ELSEWHERE(...) EXPECT_EXIT(IN_CHILD(__VA_ARGS__), 0)

static int new_file(void)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 100));
	return fd;
}

TEST(record_locks_exclude_other_processes)
{
	int fd = new_file();
	OK(set_lock(fd, F_WRLCK, 10, 10));
	OK(set_lock(fd, F_WRLCK, 10, 10)); /* one's own are no obstacle */
	ELSEWHERE({
		FAILS(set_lock(fd, F_WRLCK, 0, 0), EAGAIN);
		FAILS(set_lock(fd, F_RDLCK, 19, 1), EAGAIN);
		OK(set_lock(fd, F_WRLCK, 0, 10));
		OK(set_lock(fd, F_WRLCK, 20, 0));
		struct flock lock = lock_of(F_RDLCK, 0, 0);
		OK(fcntl(fd, F_GETLK, &lock));
		CHECK(lock.l_type == F_WRLCK && lock.l_start == 10 && lock.l_len == 10 && lock.l_pid == getppid());
	});
	OK(set_lock(fd, F_UNLCK, 12, 3)); /* splits it */
	ELSEWHERE({
		OK(set_lock(fd, F_WRLCK, 12, 3));
		FAILS(set_lock(fd, F_WRLCK, 11, 1), EAGAIN);
		FAILS(set_lock(fd, F_WRLCK, 15, 1), EAGAIN);
		struct flock lock = lock_of(F_WRLCK, 12, 3);
		OK(fcntl(fd, F_GETLK, &lock));
		CHECK_EQ(lock.l_type, F_UNLCK);
	});
}

TEST(read_locks_are_shared)
{
	int fd = new_file();
	OK(set_lock(fd, F_RDLCK, 0, 0));
	ELSEWHERE({
		OK(set_lock(fd, F_RDLCK, 0, 0));
		FAILS(set_lock(fd, F_WRLCK, 0, 1), EAGAIN);
	});
	OK(set_lock(fd, F_WRLCK, 0, 0)); /* the other's went with it */
	FAILS(set_lock(OK(open("file", O_RDONLY)), F_WRLCK, 0, 1), EBADF);
}

TEST(closing_any_descriptor_drops_record_locks)
{
	int fd = new_file();
	OK(set_lock(fd, F_WRLCK, 0, 0));
	OK(close(OK(open("file", O_RDONLY))));
	ELSEWHERE(OK(set_lock(fd, F_WRLCK, 0, 0)));
}

TEST(children_do_not_inherit_record_locks)
{
	int fd = new_file();
	OK(set_lock(fd, F_WRLCK, 0, 0));
	ELSEWHERE({
		FAILS(set_lock(fd, F_WRLCK, 0, 0), EAGAIN);
		OK(set_lock(fd, F_UNLCK, 0, 0)); /* not its own: does nothing */
	});
	ELSEWHERE(FAILS(set_lock(fd, F_WRLCK, 0, 0), EAGAIN));
}

TEST(waiting_for_a_record_lock)
{
	int fd = new_file(), p[2];
	char c;
	OK(pipe(p));
	int64_t start = now_ms();
	pid_t holder = IN_CHILD({
		OK(set_lock(fd, F_WRLCK, 0, 0));
		CHECK_EQ(write(p[1], "x", 1), 1);
		sleep_ms(80);
	});
	CHECK_EQ(read(p[0], &c, 1), 1);
	struct flock lock = lock_of(F_WRLCK, 50, 1);
	OK(fcntl(fd, F_SETLKW, &lock));
	CHECK(now_ms() - start >= 79);
	EXPECT_EXIT(holder, 0);
}

TEST(a_deadlock_is_found)
{
	int fd = new_file(), p[2], q[2];
	char c;
	OK(pipe(p));
	OK(pipe(q));
	OK(set_lock(fd, F_WRLCK, 0, 1));
	pid_t other = IN_CHILD({
		OK(set_lock(fd, F_WRLCK, 1, 1));
		CHECK_EQ(write(p[1], "x", 1), 1);
		struct flock wait = lock_of(F_WRLCK, 0, 1);
		OK(fcntl(fd, F_SETLKW, &wait));
	});
	CHECK_EQ(read(p[0], &c, 1), 1);
	WAIT_FOR(is_asleep(other));
	struct flock wait = lock_of(F_WRLCK, 1, 1);
	FAILS(fcntl(fd, F_SETLKW, &wait), EDEADLK);
	OK(set_lock(fd, F_UNLCK, 0, 0));
	EXPECT_EXIT(other, 0);
}

TEST(open_file_description_locks)
{
	int one = new_file(), two = OK(open("file", O_RDWR));
	OK(set_ofd_lock(one, F_WRLCK, 0, 10));
	FAILS(set_ofd_lock(two, F_WRLCK, 5, 1), EAGAIN); /* within one process too */
	OK(set_ofd_lock(two, F_WRLCK, 10, 1));
	struct flock lock = lock_of(F_WRLCK, 0, 1);
	OK(fcntl(two, F_OFD_GETLK, &lock));
	CHECK(lock.l_type == F_WRLCK && lock.l_pid == -1);
	ELSEWHERE({
		OK(set_ofd_lock(one, F_WRLCK, 0, 10)); /* the description is inherited, and the lock with it */
		close(one);
	});
	FAILS(set_ofd_lock(two, F_WRLCK, 5, 1), EAGAIN);
	FAILS(set_lock(two, F_WRLCK, 5, 1), EAGAIN);
	OK(close(one));
	OK(set_ofd_lock(two, F_WRLCK, 5, 1));
	lock.l_pid = 1;
	FAILS(fcntl(two, F_OFD_SETLK, &lock), EINVAL);
}

TEST(flock_belongs_to_the_description)
{
	int one = new_file(), copy = OK(dup(one)), two = OK(open("file", O_RDONLY));
	OK(flock(one, LOCK_EX));
	OK(flock(copy, LOCK_EX | LOCK_NB));
	FAILS(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(close(one));
	FAILS(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(copy, LOCK_SH)); /* downgrade */
	OK(flock(two, LOCK_SH | LOCK_NB));
	FAILS(flock(copy, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(two, LOCK_UN));
	OK(flock(two, LOCK_SH | LOCK_NB));
	OK(close(copy));
	OK(flock(two, LOCK_EX | LOCK_NB));
	FAILS(flock(two, LOCK_SH | LOCK_EX), EINVAL);
}

TEST(flock_and_record_locks_are_apart)
{
	int fd = new_file();
	OK(flock(fd, LOCK_EX));
	ELSEWHERE({
		int own = OK(open("file", O_RDWR));
		OK(set_lock(own, F_WRLCK, 0, 0));
		FAILS(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	});
}

TEST(bad_ranges)
{
	int fd = new_file();
	FAILS(set_lock(fd, F_WRLCK, -5, 1), EINVAL);
	FAILS(set_lock(fd, 99, 0, 1), EINVAL);
	OK(set_lock(fd, F_WRLCK, 50, -10)); /* the ten bytes before */
	ELSEWHERE({
		FAILS(set_lock(fd, F_WRLCK, 40, 1), EAGAIN);
		OK(set_lock(fd, F_WRLCK, 50, 1));
	});
	FAILS(set_lock(999, F_WRLCK, 0, 1), EBADF);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
