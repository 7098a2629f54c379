/* Facts about a process and the machine: prctl, limits, usage, scheduling, random numbers, names, `/proc/PID`. */
#include "test.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

TEST(names_of_threads)
{
	char text[17] = "";
	OK(prctl(PR_SET_NAME, "a name that is far too long"));
	OK(prctl(PR_GET_NAME, text));
	CHECK_STR(text, "a name that is ");
	CHECK_STR(read_file("/proc/self/comm"), "a name that is \n");
	write_file("/proc/self/comm", "other");
	OK(prctl(PR_GET_NAME, text));
	CHECK_STR(text, "other");
}

TEST(parent_death_signal)
{
	int sig = 0, p[2];
	char c;
	OK(pipe(p));
	pid_t child = IN_CHILD({
		IN_CHILD({
			sigset_t set;
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
			OK(prctl(PR_GET_PDEATHSIG, &sig));
			CHECK_EQ(sig, SIGUSR1);
			CHECK_EQ(write(p[1], "r", 1), 1);
			CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
			CHECK_EQ(write(p[1], "d", 1), 1);
		});
		CHECK_EQ(read(p[0], &c, 1), 1);
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'd');
	FAILS(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
	FAILS(prctl(99999, 0), EINVAL);
}

TEST(subreapers)
{
	int is = 0;
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	OK(prctl(PR_GET_CHILD_SUBREAPER, &is));
	CHECK_EQ(is, 1);
	pid_t *orphan = shared_memory(sizeof *orphan);
	pid_t child = IN_CHILD({
		*orphan = IN_CHILD({
			sleep_ms(30);
			_exit(8);
		});
	});
	EXPECT_EXIT(child, 0);
	EXPECT_EXIT(*orphan, 8);
}

TEST(limits)
{
	struct rlimit limit, new;
	OK(getrlimit(RLIMIT_NOFILE, &limit));
	CHECK(limit.rlim_cur <= limit.rlim_max && limit.rlim_cur > 100);
	new = (struct rlimit){ 50, 60 };
	OK(setrlimit(RLIMIT_NOFILE, &new));
	pid_t child = IN_CHILD({
		OK(getrlimit(RLIMIT_NOFILE, &limit));
		CHECK(limit.rlim_cur == 50 && limit.rlim_max == 60);
		OK(setuid(1000));
		new = (struct rlimit){ 50, 70 };
		FAILS(setrlimit(RLIMIT_NOFILE, &new), EPERM);
	});
	EXPECT_EXIT(child, 0);
	new = (struct rlimit){ 10, 5 };
	FAILS(setrlimit(RLIMIT_NOFILE, &new), EINVAL);
	FAILS(getrlimit(99, &limit), EINVAL);
	OK(prlimit(getpid(), RLIMIT_STACK, NULL, &limit));
	CHECK(limit.rlim_cur >= 1 << 20);
}

TEST(limit_of_file_size)
{
	struct rlimit limit = { 1000, 1000 };
	pid_t child = IN_CHILD({
		OK(setrlimit(RLIMIT_FSIZE, &limit));
		int fd = OK(open("file", O_CREAT | O_WRONLY, 0600));
		CHECK_EQ(pwrite(fd, "0123456789", 10, 995), 5);
		write(fd, "x", 1);
		pwrite(fd, "x", 1, 1000);
	});
	EXPECT_KILLED(child, SIGXFSZ);
}

TEST(limit_of_processes_and_cpu)
{
	struct rlimit limit = { 1, 2 };
	pid_t child = IN_CHILD({
		OK(setrlimit(RLIMIT_CPU, &limit));
		for (;;)
			;
	});
	EXPECT_KILLED(child, SIGXCPU);
	limit = (struct rlimit){ 0, 0 };
	child = IN_CHILD({
		OK(setrlimit(RLIMIT_NPROC, &limit));
		OK(setuid(12345));
		FAILS(fork(), EAGAIN);
	});
	EXPECT_EXIT(child, 0);
}

TEST(usage)
{
	struct rusage usage;
	int64_t end = now_ms() + 10000;
	do {
		for (volatile int i = 0; i < 100000; i++)
			;
		OK(getrusage(RUSAGE_SELF, &usage));
		CHECK(now_ms() < end);
	} while (usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec <= 5000);
	CHECK(usage.ru_maxrss > 100 && usage.ru_maxrss < 1 << 20);
	OK(getrusage(RUSAGE_THREAD, &usage));
	FAILS(getrusage(99, &usage), EINVAL);
	struct tms t;
	CHECK(times(&t) != -1);
	CHECK(t.tms_utime + t.tms_stime >= 0);
}

TEST(random_numbers)
{
	unsigned char a[256], b[256];
	int same = 0;
	CHECK_EQ(getrandom(a, 256, 0), 256);
	CHECK_EQ(getrandom(b, 256, GRND_NONBLOCK), 256);
	for (int i = 0; i < 256; i++)
		same += a[i] == b[i];
	CHECK(same < 20);
	FAILS(getrandom(a, 1, 0x1000), EINVAL);
}

TEST(scheduling)
{
	cpu_set_t cpus;
	struct sched_param param = { 0 };
	OK(sched_getaffinity(0, sizeof cpus, &cpus));
	int count = CPU_COUNT(&cpus);
	CHECK(count >= 1 && count <= get_nprocs_conf());
	OK(sched_setaffinity(0, sizeof cpus, &cpus));
	CPU_ZERO(&cpus);
	FAILS(sched_setaffinity(0, sizeof cpus, &cpus), EINVAL);
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	OK(sched_getparam(0, &param));
	CHECK_EQ(param.sched_priority, 0);
	CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	CHECK_EQ(sched_get_priority_min(SCHED_OTHER), 0);
	OK(sched_yield());
	CHECK(sched_getcpu() >= 0);
	errno = 0;
	CHECK(getpriority(PRIO_PROCESS, 0) == 0 && errno == 0);
	OK(setpriority(PRIO_PROCESS, 0, 5));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(nice(3), 8);
	FAILS(sched_getscheduler(0x3ffffff), ESRCH);
}

TEST(names_of_the_system)
{
	struct utsname name;
	OK(uname(&name));
	CHECK_STR(name.sysname, "Linux");
	CHECK_STR(name.machine, "x86_64");
	CHECK(atoi(name.release) >= 4);
	char host[65];
	OK(gethostname(host, sizeof host));
	CHECK_STR(host, name.nodename);
	char file[100];
	snprintf(file, sizeof file, "%s\n", name.nodename);
	CHECK_STR(read_file("/proc/sys/kernel/hostname"), file);
	snprintf(file, sizeof file, "%s\n", name.release);
	CHECK_STR(read_file("/proc/sys/kernel/osrelease"), file);
}

TEST(facts_of_the_system)
{
	struct sysinfo info;
	OK(sysinfo(&info));
	CHECK(info.uptime >= 0 && info.procs >= 1);
	unsigned long total = info.totalram * info.mem_unit, kb;
	CHECK(total > 16 << 20);
	CHECK(sscanf(read_file("/proc/meminfo"), "MemTotal: %lu kB", &kb) == 1);
	CHECK_EQ(kb / 1024, total >> 20);
	CHECK(strstr(read_file("/proc/meminfo"), "MemAvailable:"));
	CHECK(strstr(read_file("/proc/cpuinfo"), "processor\t: 0"));
	CHECK(strstr(read_file("/proc/stat"), "\nbtime "));
	double up;
	CHECK(sscanf(read_file("/proc/uptime"), "%lf", &up) == 1 && up >= 0);
	CHECK_EQ(sysconf(_SC_NPROCESSORS_ONLN), get_nprocs());
	CHECK(strstr(read_file("/proc/filesystems"), "nodev\ttmpfs\n"));
	CHECK(strstr(read_file("/proc/mounts"), " / "));
	CHECK(!strncmp(read_file("/proc/version"), "Linux version ", 14));
}

TEST(status_files_of_a_process)
{
	char text[64], path[64];
	const char *status = read_file("/proc/self/status");
	snprintf(text, sizeof text, "\nPid:\t%d\n", getpid());
	CHECK(strstr(status, text));
	snprintf(text, sizeof text, "\nPPid:\t%d\n", getppid());
	CHECK(strstr(status, text));
	CHECK(strstr(status, "\nThreads:\t1\n") && strstr(status, "State:\tR (running)\n") && strstr(status, "VmRSS:"));
	int pid, ppid, group, session;
	char state;
	const char *stat = strrchr(read_file("/proc/self/stat"), ')');
	CHECK(stat && sscanf(stat + 2, "%c %d %d %d", &state, &ppid, &group, &session) == 4);
	CHECK(state == 'R' && ppid == getppid() && group == getpgrp() && session == getsid(0));
	pid_t child = IN_CHILD(pause());
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	WAIT_FOR(strstr(read_file(path), ") S "));
	OK(kill(child, SIGSTOP));
	WAIT_FOR(strstr(read_file(path), ") T "));
	OK(kill(child, SIGKILL));
	WAIT_FOR(strstr(read_file(path), ") Z "));
	EXPECT_KILLED(child, SIGKILL);
	FAILS(open(path, O_RDONLY), ENOENT);
	CHECK(sscanf(read_file("/proc/self/statm"), "%d", &pid) == 1 && pid > 10);
}

TEST(command_line_and_environment)
{
	int fd = OK(open("/proc/self/cmdline", O_RDONLY));
	char text[4096];
	ssize_t n = OK(read(fd, text, sizeof text));
	CHECK(n > 2 && text[n - 1] == 0 && strstr(text, "process"));
	pid_t child = IN_CHILD(execle("/bin/sleep", "sleep", "7", NULL, (char *[]){ "MARK=xyz", NULL }));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/comm", child);
	WAIT_FOR(!strcmp(read_file(path), "sleep\n"));
	snprintf(path, sizeof path, "/proc/%d/environ", child);
	CHECK_STR(read_file(path), "MARK=xyz");
	snprintf(path, sizeof path, "/proc/%d/cmdline", child);
	n = OK(read(OK(open(path, O_RDONLY)), text, sizeof text));
	CHECK(n == 8 && !memcmp(text, "sleep\0007", 8));
	snprintf(path, sizeof path, "/proc/%d/exe", child);
	n = OK(readlink(path, text, sizeof text));
	CHECK(n >= 5 && text[0] == '/');
	snprintf(path, sizeof path, "/proc/%d/cwd", child);
	n = OK(readlink(path, text, sizeof text - 1));
	text[n] = 0;
	char here[300];
	CHECK(getcwd(here, sizeof here));
	CHECK_STR(text, here);
	OK(kill(child, SIGKILL));
	EXPECT_KILLED(child, SIGKILL);
}

TEST(descriptors_in_proc)
{
	char path[64], text[300] = "", here[300];
	int fd = OK(open("a file", O_CREAT | O_RDWR | O_APPEND, 0600)), seen = 0;
	CHECK_EQ(write(fd, "12345", 5), 5);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(readlink(path, text, sizeof text - 1));
	CHECK(getcwd(here, sizeof here));
	strcat(here, "/a file");
	CHECK_STR(text, here);
	DIR *dir = opendir("/proc/self/fd");
	for (struct dirent *e; (e = readdir(dir));)
		seen += atoi(e->d_name) == fd && e->d_name[0] != '.';
	CHECK(seen == 1 || fd == 0);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	const char *info = read_file(path);
	CHECK(strstr(info, "pos:\t5\n") && strstr(info, "flags:\t0102002\n"));
	OK(unlink("a file"));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	memset(text, 0, sizeof text);
	OK(readlink(path, text, sizeof text - 1));
	CHECK(strstr(text, "/a file (deleted)"));
}

static void *linger(void *arg)
{
	CHECK_EQ(read((int)(long)arg, &(char){ 0 }, 1), 1);
	return NULL;
}

TEST(threads_in_proc)
{
	pthread_t thread;
	int p[2], count = 0;
	OK(pipe(p));
	CHECK_EQ(pthread_create(&thread, NULL, linger, (void *)(long)p[0]), 0);
	DIR *dir = opendir("/proc/self/task");
	for (struct dirent *e; (e = readdir(dir));)
		count += e->d_name[0] != '.';
	CHECK_EQ(count, 2);
	CHECK(strstr(read_file("/proc/self/status"), "\nThreads:\t2\n"));
	char text[64] = "", want[64];
	OK(readlink("/proc/thread-self", text, sizeof text - 1));
	snprintf(want, sizeof want, "%d/task/%d", getpid(), gettid());
	CHECK_STR(text, want);
	CHECK_EQ(write(p[1], "x", 1), 1);
	pthread_join(thread, NULL);
}

TEST(unknown_system_calls)
{
	FAILS(syscall(4000), ENOSYS);
	FAILS(syscall(-1L), ENOSYS);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
