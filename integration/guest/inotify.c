/* inotify(7). */
#include "test.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

/* An event without its name. */
struct event {
	int wd;
	uint32_t mask, cookie, len;
};

/* The next event; its name must be as given. */
static struct event next(int fd, const char *name)
{
	static char buffer[4096];
	static char *at, *end;
	struct event event;
	if (at == end) {
		struct pollfd fds = { .fd = fd, .events = POLLIN };
		CHECK_EQ(poll(&fds, 1, 5000), 1);
		end = buffer + OK(read(fd, buffer, sizeof buffer));
		at = buffer;
	}
	memcpy(&event, at, sizeof event);
	if (event.len)
		CHECK_STR(at + sizeof event, name);
	else
		CHECK_STR("", name);
	at += sizeof event + event.len;
	return event;
}

static int is_quiet(int fd)
{
	struct pollfd fds = { .fd = fd, .events = POLLIN };
	return OK(poll(&fds, 1, 20)) == 0;
}

TEST(events_in_a_directory)
{
	int in = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), wd = OK(inotify_add_watch(in, ".", IN_ALL_EVENTS));
	char c;
	FAILS(read(in, &c, 1), EAGAIN);
	int fd = OK(open("file", O_CREAT | O_WRONLY, 0600));
	CHECK_EQ(write(fd, "x", 1), 1);
	OK(close(fd));
	CHECK_EQ(next(in, "file").mask, IN_CREATE);
	CHECK_EQ(next(in, "file").mask, IN_OPEN);
	CHECK_EQ(next(in, "file").mask, IN_MODIFY);
	CHECK_EQ(next(in, "file").mask, IN_CLOSE_WRITE);
	OK(chmod("file", 0640));
	CHECK_EQ(next(in, "file").mask, IN_ATTRIB);
	OK(mkdir("dir", 0700));
	struct event event = next(in, "dir");
	CHECK_EQ(event.mask, IN_CREATE | IN_ISDIR);
	CHECK_EQ(event.wd, wd);
	OK(unlink("file"));
	CHECK_EQ(next(in, "file").mask, IN_DELETE);
	FAILS(read(in, &c, 1), EAGAIN);
}

TEST(renames_have_one_cookie)
{
	write_file("old", "");
	int in = OK(inotify_init1(0));
	OK(inotify_add_watch(in, ".", IN_MOVE));
	OK(rename("old", "new"));
	struct event from = next(in, "old"), to = next(in, "new");
	CHECK(from.mask == IN_MOVED_FROM && to.mask == IN_MOVED_TO);
	CHECK(from.cookie && from.cookie == to.cookie);
}

TEST(watching_a_file)
{
	write_file("file", "");
	int in = OK(inotify_init1(0)), wd = OK(inotify_add_watch(in, "file", IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF));
	OK(truncate("file", 10));
	CHECK_EQ(next(in, "").mask, IN_MODIFY);
	OK(rename("file", "moved"));
	CHECK_EQ(next(in, "").mask, IN_MOVE_SELF);
	OK(unlink("moved"));
	CHECK_EQ(next(in, "").mask, IN_DELETE_SELF);
	CHECK_EQ(next(in, "").mask, IN_IGNORED);
	FAILS(inotify_rm_watch(in, wd), EINVAL);
}

TEST(changing_and_removing_watches)
{
	int in = OK(inotify_init1(0)), wd = OK(inotify_add_watch(in, ".", IN_CREATE)), waiting;
	CHECK_EQ(inotify_add_watch(in, ".", IN_DELETE), wd); /* replaces the mask */
	write_file("file", "");
	CHECK(is_quiet(in));
	CHECK_EQ(inotify_add_watch(in, ".", IN_CREATE | IN_MASK_ADD), wd);
	write_file("other", "");
	CHECK_EQ(next(in, "other").mask, IN_CREATE);
	OK(unlink("file"));
	OK(ioctl(in, FIONREAD, &waiting));
	CHECK(waiting >= (int)sizeof(struct event));
	CHECK_EQ(next(in, "file").mask, IN_DELETE);
	OK(inotify_rm_watch(in, wd));
	CHECK_EQ(next(in, "").mask, IN_IGNORED);
	OK(unlink("other"));
	CHECK(is_quiet(in));
}

TEST(one_shot_and_only_directories)
{
	int in = OK(inotify_init1(0));
	write_file("file", "");
	FAILS(inotify_add_watch(in, "file", IN_CREATE | IN_ONLYDIR), ENOTDIR);
	FAILS(inotify_add_watch(in, "absent", IN_CREATE), ENOENT);
	FAILS(inotify_add_watch(in, "file", 0), EINVAL);
	FAILS(inotify_add_watch(0, "file", IN_MODIFY), EINVAL);
	OK(inotify_add_watch(in, "file", IN_MODIFY | IN_ONESHOT));
	write_file("file", "x");
	CHECK_EQ(next(in, "").mask, IN_MODIFY);
	CHECK_EQ(next(in, "").mask, IN_IGNORED);
}

TEST(woken_by_another_process)
{
	int in = OK(inotify_init1(0));
	OK(inotify_add_watch(in, ".", IN_CREATE));
	pid_t child = IN_CHILD({
		sleep_ms(40);
		write_file("late", "");
	});
	CHECK_EQ(next(in, "late").mask, IN_CREATE);
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
