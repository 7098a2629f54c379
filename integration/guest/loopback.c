/* Internet sockets over the loopback device, and what there is without any other network. */
#include "test.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* A listening socket; its address is written to `address`. */
static int listener_at(struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	*address = local(0);
	OK(bind(fd, (void *)address, len));
	OK(listen(fd, 10));
	OK(getsockname(fd, (void *)address, &len));
	CHECK(address->sin_port != 0);
	return fd;
}

TEST(tcp_streams)
{
	struct sockaddr_in address, peer;
	socklen_t len = sizeof peer;
	char text[10] = "";
	int listener = listener_at(&address), client = OK(socket(AF_INET, SOCK_STREAM, 0));
	OK(connect(client, (void *)&address, sizeof address));
	int server = OK(accept(listener, (void *)&peer, &len));
	CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(send(client, "hello", 5, 0), 5);
	CHECK_EQ(recv(server, text, 10, 0), 5);
	CHECK_STR(text, "hello");
	OK(shutdown(client, SHUT_WR));
	CHECK_EQ(recv(server, text, 10, 0), 0);
	CHECK_EQ(send(server, "bye", 3, 0), 3);
	OK(close(server));
	CHECK_EQ(recv(client, text, 10, MSG_WAITALL), 3);
	CHECK_EQ(recv(client, text, 10, 0), 0);
}

TEST(big_tcp_transfers)
{
	enum { SIZE = 4 << 20 };
	struct sockaddr_in address;
	int listener = listener_at(&address);
	pid_t child = IN_CHILD({
		int out = OK(socket(AF_INET, SOCK_STREAM, 0));
		char *data = malloc(SIZE);
		OK(connect(out, (void *)&address, sizeof address));
		for (int i = 0; i < SIZE; i++)
			data[i] = (char)(i + i / 999);
		for (ssize_t sent = 0; sent < SIZE;)
			sent += OK(send(out, data + sent, (size_t)(SIZE - sent), 0));
	});
	int in = OK(accept(listener, NULL, NULL));
	static char block[10000];
	long have = 0;
	for (ssize_t n; (n = OK(recv(in, block, sizeof block, 0))) > 0; have += n)
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != (char)(have + i + (have + i) / 999))
				fail("byte %ld is wrong", have + i);
	CHECK_EQ(have, SIZE);
	EXPECT_EXIT(child, 0);
}

TEST(refused_and_taken)
{
	struct sockaddr_in address;
	int listener = listener_at(&address), fd = OK(socket(AF_INET, SOCK_STREAM, 0));
	FAILS(bind(fd, (void *)&address, sizeof address), EADDRINUSE);
	OK(close(listener));
	FAILS(connect(fd, (void *)&address, sizeof address), ECONNREFUSED);
	struct sockaddr_in elsewhere = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("192.0.2.1") };
	/* There is no other network here. */
	FAILS(connect(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&elsewhere, sizeof elsewhere), ENETUNREACH);
	FAILS(bind(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&elsewhere, sizeof elsewhere), EADDRNOTAVAIL);
}

TEST(udp_datagrams)
{
	char text[10] = "";
	struct sockaddr_in address = local(0), from;
	socklen_t len = sizeof address;
	int server = OK(socket(AF_INET, SOCK_DGRAM, 0)), client = OK(socket(AF_INET, SOCK_DGRAM, 0));
	OK(bind(server, (void *)&address, len));
	OK(getsockname(server, (void *)&address, &len));
	CHECK_EQ(sendto(client, "one", 3, 0, (void *)&address, len), 3);
	CHECK_EQ(sendto(client, "three", 5, 0, (void *)&address, len), 5);
	CHECK_EQ(recvfrom(server, text, 10, 0, (void *)&from, &len), 3);
	CHECK_EQ(recv(server, text, 10, 0), 5);
	CHECK_EQ(sendto(server, "re", 2, 0, (void *)&from, len), 2);
	CHECK_EQ(recv(client, text, 10, 0), 2);
	FAILS(recv(client, text, 10, MSG_DONTWAIT), EAGAIN);
}

TEST(connecting_without_waiting)
{
	struct sockaddr_in address;
	int listener = listener_at(&address), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), error = -1;
	socklen_t len = sizeof error;
	int done = connect(fd, (void *)&address, sizeof address);
	CHECK(done == 0 || errno == EINPROGRESS);
	struct pollfd fds = { .fd = fd, .events = POLLOUT };
	CHECK_EQ(poll(&fds, 1, 5000), 1);
	OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, 0);
	OK(close(OK(accept(listener, NULL, NULL))));
}

TEST(options)
{
	int fd = OK(socket(AF_INET, SOCK_STREAM, 0)), one = 1, value = 0;
	socklen_t len = sizeof value;
	OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
	OK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	CHECK_EQ(value, 1);
	OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	OK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
	OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
	CHECK_EQ(value, SOCK_STREAM);
	OK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len));
	CHECK(value > 1000);
	FAILS(setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof one), ENOPROTOOPT);
}

TEST(version_6)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof address;
	char c;
	int listener = OK(socket(AF_INET6, SOCK_STREAM, 0)), client = OK(socket(AF_INET6, SOCK_STREAM, 0));
	OK(bind(listener, (void *)&address, len));
	OK(listen(listener, 1));
	OK(getsockname(listener, (void *)&address, &len));
	OK(connect(client, (void *)&address, len));
	CHECK_EQ(send(client, "6", 1, 0), 1);
	CHECK_EQ(recv(OK(accept(listener, NULL, NULL)), &c, 1, 0), 1);
}

TEST(the_loopback_device)
{
	struct ifaddrs *all;
	int found = 0;
	struct ifreq request = { .ifr_name = "lo" };
	OK(ioctl(OK(socket(AF_INET, SOCK_DGRAM, 0)), SIOCGIFFLAGS, &request));
	CHECK(request.ifr_flags & IFF_UP && request.ifr_flags & IFF_LOOPBACK);
	CHECK_EQ(if_nametoindex("lo"), 1);
	OK(getifaddrs(&all));
	for (struct ifaddrs *a = all; a; a = a->ifa_next)
		found |= a->ifa_addr && a->ifa_addr->sa_family == AF_INET && !strcmp(a->ifa_name, "lo") &&
			 ((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	CHECK(found);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
