/* Unix domain sockets: streams, datagrams, sequenced packets, passing descriptors and credentials, names. */
#include "test.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, path);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

/* A name outside of the file system: it begins with a zero byte. */
static socklen_t abstract_name(struct sockaddr_un *address, const char *text)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path + 1, text);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text));
}

static int bound(int type, const char *path)
{
	struct sockaddr_un address;
	int fd = OK(socket(AF_UNIX, type, 0));
	socklen_t len = name(&address, path);
	OK(bind(fd, (void *)&address, len));
	return fd;
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address;
	socklen_t len = name(&address, path);
	return connect(fd, (void *)&address, len);
}

TEST(streams)
{
	char text[20] = "";
	struct sockaddr_un peer;
	socklen_t len = sizeof peer;
	int listener = bound(SOCK_STREAM, "socket");
	OK(listen(listener, 5));
	struct stat st;
	OK(stat("socket", &st));
	CHECK(S_ISSOCK(st.st_mode));
	int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect_to(client, "socket"));
	int server = OK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	CHECK(fcntl(server, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(send(client, "hello", 5, 0), 5);
	CHECK_EQ(send(client, "world", 5, 0), 5);
	CHECK_EQ(recv(server, text, 20, 0), 10); /* no borders between messages */
	CHECK_STR(text, "helloworld");
	OK(getpeername(client, (void *)&peer, &len));
	CHECK_STR(peer.sun_path, "socket");
	len = sizeof peer;
	OK(getpeername(server, (void *)&peer, &len));
	CHECK_EQ(len, sizeof(sa_family_t)); /* the client has no name */
	OK(close(client));
	CHECK_EQ(recv(server, text, 20, 0), 0);
	signal(SIGPIPE, SIG_IGN);
	FAILS(send(server, "x", 1, 0), EPIPE);
}

TEST(errors_of_connecting)
{
	int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS(connect_to(fd, "absent"), ENOENT);
	int listener = bound(SOCK_STREAM, "socket");
	FAILS(connect_to(fd, "socket"), ECONNREFUSED); /* nobody listens */
	struct sockaddr_un address;
	socklen_t len = name(&address, "socket");
	FAILS(bind(fd, (void *)&address, len), EADDRINUSE);
	OK(listen(listener, 1));
	int dgram = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	FAILS(connect_to(dgram, "socket"), EPROTOTYPE);
	OK(connect_to(fd, "socket"));
	FAILS(connect_to(fd, "socket"), EISCONN);
	FAILS(accept(fd, NULL, NULL), EINVAL);
	FAILS(send(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "x", 1, 0), ENOTCONN);
	write_file("file", "");
	FAILS(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "file"), ECONNREFUSED);
	OK(close(listener));
	FAILS(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "socket"), ECONNREFUSED);
	FAILS(socket(AF_UNIX, 77, 0), EINVAL);
}

TEST(a_full_backlog)
{
	int listener = bound(SOCK_STREAM, "socket"), fd = -1, n = 0;
	OK(listen(listener, 2));
	while (n < 20 && connect_to(fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), "socket") == 0)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(n, 3);
	OK(close(OK(accept(listener, NULL, NULL))));
	OK(connect_to(fd, "socket"));
}

TEST(blocking_accept)
{
	int listener = bound(SOCK_STREAM, "socket");
	OK(listen(listener, 5));
	pid_t child = IN_CHILD({
		char c;
		sleep_ms(40);
		int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
		OK(connect_to(fd, "socket"));
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(c, 'w');
	});
	int fd = OK(accept(listener, NULL, NULL));
	CHECK_EQ(write(fd, "w", 1), 1);
	EXPECT_EXIT(child, 0);
}

TEST(datagrams_keep_their_borders)
{
	char text[20] = "";
	struct sockaddr_un from, address;
	socklen_t len = sizeof from;
	int server = bound(SOCK_DGRAM, "server"), client = bound(SOCK_DGRAM, "client");
	socklen_t address_len = name(&address, "server");
	CHECK_EQ(sendto(client, "one", 3, 0, (void *)&address, address_len), 3);
	CHECK_EQ(sendto(client, "three", 5, 0, (void *)&address, address_len), 5);
	CHECK_EQ(recvfrom(server, text, 20, 0, (void *)&from, &len), 3);
	CHECK_STR(from.sun_path, "client");
	CHECK_EQ(recv(server, text, 2, 0), 2); /* the rest is lost */
	FAILS(recv(server, text, 2, MSG_DONTWAIT), EAGAIN);
	OK(connect_to(client, "server"));
	CHECK_EQ(send(client, "", 0, 0), 0);
	CHECK_EQ(recv(server, text, 20, 0), 0);
	CHECK_EQ(send(client, "12345", 5, 0), 5);
	CHECK_EQ(recv(server, text, 2, MSG_TRUNC), 5); /* the true length */
	OK(close(server));
	FAILS(send(client, "x", 1, 0), ECONNREFUSED);
}

TEST(sequenced_packets)
{
	int s[2];
	char text[20];
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s));
	CHECK_EQ(send(s[0], "abc", 3, 0), 3);
	CHECK_EQ(send(s[0], "defgh", 5, 0), 5);
	CHECK_EQ(recv(s[1], text, 20, 0), 3);
	struct iovec v = { text, 2 };
	struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1 };
	CHECK_EQ(recvmsg(s[1], &message, 0), 2);
	CHECK(message.msg_flags & MSG_TRUNC);
	OK(close(s[0]));
	CHECK_EQ(recv(s[1], text, 20, 0), 0);
}

static ssize_t send_fds(int socket, const int *fds, size_t count)
{
	char control[CMSG_SPACE(10 * sizeof(int))] = { 0 };
	struct iovec v = { "f", 1 };
	struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };
	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)) };
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	return sendmsg(socket, &message, 0);
}

/* Receives descriptors; returns how many. */
static size_t receive_fds(int socket, int *fds, size_t room, int *flags)
{
	char c, control[CMSG_SPACE(10 * sizeof(int))];
	struct iovec v = { &c, 1 };
	struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };
	message.msg_controllen = CMSG_LEN(room * sizeof(int));
	CHECK_EQ(recvmsg(socket, &message, *flags), 1);
	*flags = message.msg_flags;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header)
		return 0;
	CHECK(header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS);
	size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	return count;
}

TEST(passing_descriptors)
{
	int s[2], p[2], got[3], flags = MSG_CMSG_CLOEXEC;
	char c;
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(pipe(p));
	pid_t child = IN_CHILD({
		int mine[3], none = 0;
		CHECK_EQ(receive_fds(s[1], mine, 3, &none), 1);
		CHECK_EQ(write(mine[0], "p", 1), 1);
	});
	CHECK_EQ(send_fds(s[0], &p[1], 1), 1);
	EXPECT_EXIT(child, 0);
	CHECK_EQ(read(p[0], &c, 1), 1);
	int three[3] = { p[0], p[1], s[0] };
	CHECK_EQ(send_fds(s[0], three, 3), 1);
	CHECK_EQ(receive_fds(s[1], got, 3, &flags), 3);
	CHECK(fcntl(got[2], F_GETFD) & FD_CLOEXEC);
	OK(close(p[1]));
	CHECK_EQ(write(got[1], "q", 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	FAILS(send_fds(s[0], &(int){ 999 }, 1), EBADF);
}

TEST(descriptors_without_room_are_dropped)
{
	int s[2], p[2], got[3], flags = 0;
	char c;
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(pipe(p));
	int two[2] = { p[0], p[1] };
	CHECK_EQ(send_fds(s[0], two, 2), 1);
	CHECK_EQ(receive_fds(s[1], got, 1, &flags), 1);
	CHECK(flags & MSG_CTRUNC);
	OK(close(got[0]));
	CHECK_EQ(send_fds(s[0], two, 2), 1);
	CHECK_EQ(recv(s[1], &c, 1, 0), 1); /* without any room for control data */
	OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0); /* no copy has stayed behind */
}

TEST(descriptors_in_flight_keep_files_open)
{
	int s[2], got[3], flags = 0;
	char text[10] = "";
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "kept", 4), 4);
	CHECK_EQ(send_fds(s[0], &fd, 1), 1);
	OK(close(fd));
	OK(unlink("file"));
	CHECK_EQ(receive_fds(s[1], got, 3, &flags), 1);
	CHECK_EQ(pread(got[0], text, 10, 0), 4);
	CHECK_STR(text, "kept");
}

TEST(credentials)
{
	int s[2], on = 1;
	char c, control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec v = { &c, 1 };
	struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct ucred peer;
	socklen_t len = sizeof peer;
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
	CHECK(peer.pid == getpid() && peer.uid == getuid() && peer.gid == getgid());
	OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	pid_t child = IN_CHILD(CHECK_EQ(send(s[0], "x", 1, 0), 1));
	CHECK_EQ(recvmsg(s[1], &message, 0), 1);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	CHECK(header && header->cmsg_type == SCM_CREDENTIALS);
	memcpy(&peer, CMSG_DATA(header), sizeof peer);
	CHECK(peer.pid == child && peer.uid == getuid());
	EXPECT_EXIT(child, 0);
}

TEST(abstract_names)
{
	struct sockaddr_un address, other;
	int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	char text[50];
	snprintf(text, sizeof text, "abstract test %d", getpid());
	socklen_t len = abstract_name(&address, text), other_len = sizeof other;
	OK(bind(listener, (void *)&address, len));
	OK(listen(listener, 5));
	OK(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, len));
	FAILS(bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, len), EADDRINUSE);
	FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, len - 1), ECONNREFUSED);
	OK(getsockname(listener, (void *)&other, &other_len));
	CHECK(other_len == len && !memcmp(&other, &address, len));
	OK(close(listener));
	FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, len), ECONNREFUSED);
	int autobound = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	address.sun_family = AF_UNIX;
	OK(bind(autobound, (void *)&address, sizeof(sa_family_t)));
	other_len = sizeof other;
	OK(getsockname(autobound, (void *)&other, &other_len));
	CHECK(other_len == sizeof(sa_family_t) + 6 && !other.sun_path[0]);
}

TEST(half_closed_streams)
{
	int s[2];
	char c;
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(recv(s[1], &c, 1, 0), 0);
	CHECK_EQ(send(s[1], "b", 1, 0), 1);
	CHECK_EQ(recv(s[0], &c, 1, 0), 1);
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	OK(shutdown(s[0], SHUT_RD));
	FAILS(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	FAILS(shutdown(s[0], 9), EINVAL);
}

TEST(peeking_and_waiting_for_all)
{
	int s[2], waiting;
	char text[10] = "";
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(send(s[0], "abcd", 4, 0), 4);
	CHECK_EQ(recv(s[1], text, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(s[1], text, 4, MSG_PEEK), 4);
	CHECK_STR(text, "abcd");
	OK(ioctl(s[1], FIONREAD, &waiting));
	CHECK_EQ(waiting, 4);
	pid_t child = IN_CHILD({
		sleep_ms(30);
		CHECK_EQ(send(s[0], "efgh", 4, 0), 4);
	});
	CHECK_EQ(recv(s[1], text, 8, MSG_WAITALL), 8);
	CHECK(!memcmp(text, "abcdefgh", 8));
	EXPECT_EXIT(child, 0);
}

TEST(full_buffers)
{
	int s[2];
	static char block[4096];
	long sent = 0, n;
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	while ((n = send(s[0], block, sizeof block, 0)) > 0)
		sent += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK(sent >= 65536 && sent < 16 << 20);
	struct pollfd out = { .fd = s[0], .events = POLLOUT };
	CHECK_EQ(poll(&out, 1, 0), 0);
	while ((n = recv(s[1], block, sizeof block, 0)) > 0)
		sent -= n;
	CHECK_EQ(sent, 0);
	CHECK_EQ(poll(&out, 1, 1000), 1);
}

TEST(options)
{
	int s[2], value;
	socklen_t len = sizeof value;
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	OK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &len));
	CHECK_EQ(value, SOCK_DGRAM);
	OK(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &value, &len));
	CHECK_EQ(value, AF_UNIX);
	OK(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &value, &len));
	CHECK_EQ(value, 0);
	struct timeval limit = { .tv_usec = 40000 };
	OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	int64_t start = now_ms();
	FAILS(recv(s[0], &value, 1, 0), EAGAIN);
	CHECK(now_ms() - start >= 39);
	FAILS(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &len), ENOTSOCK);
}

TEST(many_messages_at_once)
{
	int s[2];
	char a[4], b[4];
	struct iovec out[2] = { { "one", 3 }, { "two", 3 } }, in[2] = { { a, 4 }, { b, 4 } };
	struct mmsghdr messages[2] = { { .msg_hdr = { .msg_iov = &out[0], .msg_iovlen = 1 } },
				       { .msg_hdr = { .msg_iov = &out[1], .msg_iovlen = 1 } } };
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	CHECK_EQ(sendmmsg(s[0], messages, 2, 0), 2);
	messages[0].msg_hdr.msg_iov = &in[0];
	messages[1].msg_hdr.msg_iov = &in[1];
	CHECK_EQ(recvmmsg(s[1], messages, 2, 0, NULL), 2);
	CHECK(messages[0].msg_len == 3 && !memcmp(a, "one", 3) && !memcmp(b, "two", 3));
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
