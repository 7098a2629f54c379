/* wait4(2) and waitid(2): which child, which change of state, and what is told about it. */
#include "test.h"
#include <pthread.h>
#include <sys/resource.h>

static pid_t ending_with(int code)
{
	return IN_CHILD(_exit(code));
}

TEST(status_words)
{
	int status;
	pid_t child = ending_with(200);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 200 << 8);
	child = IN_CHILD(raise(SIGKILL));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, SIGKILL);
}

TEST(no_child_is_an_error)
{
	FAILS(waitpid(-1, NULL, 0), ECHILD);
	pid_t child = ending_with(0);
	FAILS(waitpid(getppid(), NULL, 0), ECHILD);
	FAILS(waitpid(-child - 1000, NULL, 0), ECHILD);
	FAILS(waitpid(child, NULL, 0x100), EINVAL);
	EXPECT_EXIT(child, 0);
	FAILS(waitpid(child, NULL, 0), ECHILD);
}

TEST(nohang_gives_zero_while_it_runs)
{
	pid_t child = IN_CHILD(pause());
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

TEST(any_child_of_a_group)
{
	pid_t other = ending_with(1);
	pid_t leader = IN_CHILD({
		setpgid(0, 0);
		pause();
	});
	setpgid(leader, leader);
	pid_t member = IN_CHILD({
		setpgid(0, leader);
		_exit(2);
	});
	setpgid(member, leader);
	EXPECT_EXIT(member, 2);
	CHECK_EQ(waitpid(-leader, NULL, WNOHANG), 0);
	OK(kill(leader, SIGKILL));
	CHECK_EQ(waitpid(-leader, NULL, 0), leader);
	CHECK_EQ(waitpid(0, NULL, 0), other); /* our own group */
}

TEST(stops_and_continues)
{
	int status;
	pid_t child = IN_CHILD({
		raise(SIGSTOP);
		pause();
	});
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED | WNOHANG), 0); /* told once only */
	OK(kill(child, SIGCONT));
	CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	CHECK(WIFCONTINUED(status));
	OK(kill(child, SIGTERM));
	EXPECT_KILLED(child, SIGTERM);
}

TEST(a_stopped_child_is_killed)
{
	pid_t child = IN_CHILD(raise(SIGSTOP));
	CHECK_EQ(waitpid(child, NULL, WUNTRACED), child);
	OK(kill(child, SIGTERM)); /* pends until it is continued */
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

TEST(waitid_tells_all_and_can_leave_the_child)
{
	siginfo_t info = { 0 };
	pid_t child = ending_with(9);
	for (int round = 0; round < 2; round++) {
		OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_signo, SIGCHLD);
		CHECK_EQ(info.si_code, CLD_EXITED);
		CHECK_EQ(info.si_status, 9);
		CHECK_EQ(info.si_pid, child);
		CHECK_EQ(info.si_uid, getuid());
	}
	OK(waitid(P_ALL, 0, &info, WEXITED));
	FAILS(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	FAILS(waitid(P_ALL, 0, &info, WNOHANG), EINVAL); /* no state to wait for */
	child = IN_CHILD(pause());
	info.si_pid = 1;
	OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG));
	CHECK_EQ(info.si_pid, 0);
	OK(kill(child, SIGSTOP));
	OK(waitid(P_PID, (id_t)child, &info, WSTOPPED));
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGSTOP);
	OK(kill(child, SIGKILL));
	OK(waitid(P_PID, (id_t)child, &info, WEXITED));
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_EQ(info.si_status, SIGKILL);
}

TEST(ignored_sigchld_reaps_by_itself)
{
	signal(SIGCHLD, SIG_IGN);
	pid_t child = ending_with(0);
	FAILS(waitpid(child, NULL, 0), ECHILD); /* waits until it has ended */
	FAILS(kill(child, 0), ESRCH);
}

TEST(nocldwait_reaps_by_itself)
{
	struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	OK(sigaction(SIGCHLD, &action, NULL));
	pid_t child = ending_with(0);
	FAILS(waitpid(child, NULL, 0), ECHILD);
}

static volatile sig_atomic_t nr_sigchld;
static void count_sigchld(int sig)
{
	(void)sig;
	nr_sigchld++;
}

TEST(nocldstop_hides_stops)
{
	struct sigaction action = { .sa_handler = count_sigchld, .sa_flags = SA_NOCLDSTOP | SA_RESTART };
	OK(sigaction(SIGCHLD, &action, NULL));
	pid_t child = IN_CHILD({
		raise(SIGSTOP);
		_exit(0);
	});
	CHECK_EQ(waitpid(child, NULL, WUNTRACED), child);
	CHECK_EQ(nr_sigchld, 0);
	OK(kill(child, SIGCONT));
	EXPECT_EXIT(child, 0);
	CHECK_EQ(nr_sigchld, 1);
}

static void *wait_for(void *arg)
{
	int status = 0;
	pid_t pid = *(pid_t *)arg;
	return (void *)(long)(waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : -1);
}

TEST(another_thread_may_wait)
{
	pthread_t thread;
	void *result;
	pid_t child = IN_CHILD({
		sleep_ms(30);
		_exit(21);
	});
	CHECK_EQ(pthread_create(&thread, NULL, wait_for, &child), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK_EQ((long)result, 21);
}

TEST(resource_usage_of_the_child)
{
	struct rusage usage;
	pid_t child = IN_CHILD({
		struct timespec used = { 0 };
		while (used.tv_sec == 0 && used.tv_nsec < 30000000) {
			for (volatile int i = 0; i < 10000; i++)
				;
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
		}
	});
	CHECK_EQ(wait4(child, NULL, 0, &usage), child);
	long used_us = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	CHECK(used_us > 10000 && used_us < 5000000);
	OK(getrusage(RUSAGE_CHILDREN, &usage));
	CHECK(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= used_us - 1000);
}

TEST(zombies_keep_their_pid)
{
	pid_t child = ending_with(0);
	siginfo_t info;
	OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	OK(kill(child, SIGTERM));
	OK(getpgid(child));
	EXPECT_EXIT(child, 0);
	FAILS(kill(child, 0), ESRCH);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
