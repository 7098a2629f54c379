/* epoll(7): level- and edge-triggered, one-shot, nested, exclusive; wake-ups and life times. */
#include "test.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 0xabcd000000000000u + (unsigned)fd };
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static int change(int ep, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 0xabcd000000000000u + (unsigned)fd };
	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event);
}

/* The events of the one descriptor that is ready; 0 if none is. */
static uint32_t ready(int ep)
{
	struct epoll_event events[4];
	int n = OK(epoll_wait(ep, events, 4, 0));
	CHECK(n <= 1);
	return n ? events[0].events : 0;
}

static void set(int fd)
{
	uint64_t one = 1;
	CHECK_EQ(write(fd, &one, 8), 8);
}

static void clear(int fd)
{
	uint64_t value;
	CHECK_EQ(read(fd, &value, 8), 8);
}

TEST(level_triggered)
{
	int ep = OK(epoll_create1(EPOLL_CLOEXEC)), fd = OK(eventfd(0, 0));
	OK(add(ep, fd, EPOLLIN));
	CHECK_EQ(ready(ep), 0);
	set(fd);
	CHECK_EQ(ready(ep), EPOLLIN);
	CHECK_EQ(ready(ep), EPOLLIN); /* as long as it is so */
	clear(fd);
	CHECK_EQ(ready(ep), 0);
	struct epoll_event event;
	set(fd);
	CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
	CHECK_EQ(event.data.u64, 0xabcd000000000000u + (unsigned)fd);
}

TEST(edge_triggered)
{
	int ep = OK(epoll_create1(0)), fd = OK(eventfd(0, 0));
	OK(add(ep, fd, EPOLLIN | EPOLLET));
	set(fd);
	CHECK_EQ(ready(ep), EPOLLIN);
	CHECK_EQ(ready(ep), 0);
	set(fd); /* news, though it was readable before */
	CHECK_EQ(ready(ep), EPOLLIN);
	OK(change(ep, fd, EPOLLIN | EPOLLET)); /* arms it again */
	CHECK_EQ(ready(ep), EPOLLIN);
	CHECK_EQ(ready(ep), 0);
}

TEST(one_shot)
{
	int ep = OK(epoll_create1(0)), fd = OK(eventfd(1, 0));
	OK(add(ep, fd, EPOLLIN | EPOLLONESHOT));
	CHECK_EQ(ready(ep), EPOLLIN);
	CHECK_EQ(ready(ep), 0);
	set(fd);
	CHECK_EQ(ready(ep), 0);
	OK(change(ep, fd, EPOLLIN | EPOLLONESHOT));
	CHECK_EQ(ready(ep), EPOLLIN);
}

TEST(errors_of_epoll_ctl)
{
	int ep = OK(epoll_create1(0)), fd = OK(eventfd(0, 0)), file = OK(open("file", O_CREAT | O_RDWR, 0600));
	struct epoll_event event = { .events = EPOLLIN };
	OK(add(ep, fd, EPOLLIN));
	FAILS(add(ep, fd, EPOLLIN), EEXIST);
	FAILS(add(ep, 999, EPOLLIN), EBADF);
	FAILS(add(ep, file, EPOLLIN), EPERM);
	FAILS(add(ep, ep, EPOLLIN), EINVAL);
	FAILS(add(fd, ep, EPOLLIN), EINVAL);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), ENOENT);
	FAILS(change(ep, fd, EPOLLIN), ENOENT);
	FAILS(epoll_ctl(ep, 99, fd, &event), EINVAL);
	FAILS(epoll_wait(ep, &event, 0, 0), EINVAL);
	FAILS(epoll_create1(99), EINVAL);
	FAILS(epoll_create(0), EINVAL);
}

TEST(a_closed_descriptor_leaves_the_set)
{
	int ep = OK(epoll_create1(0)), fd = OK(eventfd(1, 0)), copy = OK(dup(fd));
	OK(add(ep, fd, EPOLLIN));
	OK(close(fd));
	CHECK_EQ(ready(ep), EPOLLIN); /* the description is still open */
	OK(close(copy));
	CHECK_EQ(ready(ep), 0);
}

TEST(hang_up_and_errors_are_always_told)
{
	int ep = OK(epoll_create1(0)), p[2];
	OK(pipe(p));
	OK(add(ep, p[0], 0));
	CHECK_EQ(ready(ep), 0);
	OK(close(p[1]));
	CHECK_EQ(ready(ep), EPOLLHUP);
}

TEST(nested_sets)
{
	int outer = OK(epoll_create1(0)), inner = OK(epoll_create1(0)), fd = OK(eventfd(0, 0));
	OK(add(inner, fd, EPOLLIN));
	OK(add(outer, inner, EPOLLIN));
	CHECK_EQ(ready(outer), 0);
	set(fd);
	CHECK_EQ(ready(outer), EPOLLIN);
	CHECK_EQ(ready(inner), EPOLLIN);
	FAILS(add(inner, outer, EPOLLIN), ELOOP);
}

static void *wake_later(void *arg)
{
	sleep_ms(40);
	set((int)(long)arg);
	return NULL;
}

TEST(woken_by_another_thread)
{
	pthread_t thread;
	int ep = OK(epoll_create1(0)), fd = OK(eventfd(0, 0));
	struct epoll_event event;
	OK(add(ep, fd, EPOLLIN));
	CHECK_EQ(pthread_create(&thread, NULL, wake_later, (void *)(long)fd), 0);
	int64_t start = now_ms();
	CHECK_EQ(epoll_wait(ep, &event, 1, 50000), 1);
	CHECK(now_ms() - start < 30000);
	pthread_join(thread, NULL);
}

static int late_ep;
static void *add_later(void *arg)
{
	sleep_ms(40);
	OK(add(late_ep, (int)(long)arg, EPOLLIN));
	return NULL;
}

TEST(added_while_another_thread_waits)
{
	pthread_t thread;
	struct epoll_event event;
	int fd = OK(eventfd(1, 0));
	late_ep = OK(epoll_create1(0));
	CHECK_EQ(pthread_create(&thread, NULL, add_later, (void *)(long)fd), 0);
	CHECK_EQ(epoll_wait(late_ep, &event, 1, 5000), 1);
	pthread_join(thread, NULL);
}

TEST(time_limits)
{
	int ep = OK(epoll_create1(0));
	struct epoll_event event;
	int64_t start = now_ms();
	CHECK_EQ(epoll_wait(ep, &event, 1, 50), 0);
	CHECK(now_ms() - start >= 49);
	struct timespec limit = { .tv_nsec = 30000000 };
	start = now_ms();
	CHECK_EQ(syscall(SYS_epoll_pwait2, ep, &event, 1, &limit, NULL, 0), 0);
	CHECK(now_ms() - start >= 29);
}

TEST(ready_ones_take_turns)
{
	int ep = OK(epoll_create1(0)), seen = 0;
	struct epoll_event event;
	for (int i = 0; i < 4; i++)
		OK(add(ep, OK(eventfd(1, 0)), EPOLLIN));
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(epoll_wait(ep, &event, 1, 0), 1);
		seen |= 1 << (event.data.u64 & 31);
	}
	CHECK_EQ(__builtin_popcount((unsigned)seen), 4);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
