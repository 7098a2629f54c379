/* System V shared memory, semaphores and message queues: sysvipc(7). */
#include "test.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { PAGE = 4096 };

/* A key of this process' own. */
static key_t own_key(void)
{
	return 0x10000000 | getpid();
}

static void remove_segment(int id)
{
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(a_segment_is_shared_by_its_key)
{
	key_t key = own_key();
	FAILS(shmget(key, PAGE, 0600), ENOENT);
	int id = OK(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600));
	FAILS(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	FAILS(shmget(key, 50000, 0600), EINVAL);
	volatile int *m = OK(shmat(id, NULL, 0));
	pid_t child = IN_CHILD({
		volatile int *own = OK(shmat(OK(shmget(key, 0, 0)), NULL, 0));
		own[1234] = 55;
		OK(shmdt((void *)own));
		FAILS(shmdt((void *)own), EINVAL);
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(m[1234], 55);
	remove_segment(id);
}

TEST(a_removed_segment_lives_while_it_is_attached)
{
	struct shmid_ds ds;
	int id = OK(shmget(IPC_PRIVATE, 2 * PAGE, 0640));
	char *m = OK(shmat(id, NULL, 0));
	OK(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 1);
	CHECK_EQ(ds.shm_segsz, 2 * PAGE);
	CHECK_EQ(ds.shm_perm.mode & 0777, 0640);
	CHECK_EQ(ds.shm_cpid, getpid());
	remove_segment(id);
	m[PAGE] = 5;
	pid_t child = IN_CHILD({
		CHECK_EQ(m[PAGE], 5);
		m[PAGE] = 6;
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(m[PAGE], 6);
	OK(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 1);
	OK(shmdt(m));
	FAILS(shmctl(id, IPC_STAT, &ds), EINVAL);
	FAILS(shmat(id, NULL, 0), EINVAL);
}

TEST(where_and_how_a_segment_is_attached)
{
	int id = OK(shmget(IPC_PRIVATE, PAGE, 0600));
	char *place = OK(mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	FAILS(shmat(id, place, 0), EINVAL); /* something is there */
	CHECK(shmat(id, place + PAGE, SHM_REMAP) == place + PAGE);
	OK(munmap(place, 4 * PAGE));
	FAILS(shmat(id, place + 1, 0), EINVAL);
	CHECK(shmat(id, place + 1, SHM_RND) == place);
	const char *readonly = OK(shmat(id, NULL, SHM_RDONLY));
	FAILS(mprotect((void *)readonly, PAGE, PROT_READ | PROT_WRITE), EACCES);
	place[3] = 'x';
	CHECK_EQ(readonly[3], 'x');
	remove_segment(id);
}

static void operate(int id, unsigned short number, short change, short flags)
{
	struct sembuf op = { number, change, flags };
	OK(semop(id, &op, 1));
}

TEST(semaphores_count)
{
	int id = OK(semget(IPC_PRIVATE, 3, 0600));
	unsigned short values[3] = { 1, 2, 3 };
	OK(semctl(id, 0, SETALL, values));
	operate(id, 1, 5, 0);
	operate(id, 2, -3, 0);
	OK(semctl(id, 0, GETALL, values));
	CHECK_EQ(values[0] * 100 + values[1] * 10 + values[2], 170);
	OK(semctl(id, 0, SETVAL, 9));
	CHECK_EQ(semctl(id, 0, GETVAL), 9);
	CHECK_EQ(semctl(id, 1, GETPID), getpid());
	struct sembuf both[2] = { { 0, -1, 0 }, { 2, -1, IPC_NOWAIT } };
	FAILS(semop(id, both, 2), EAGAIN);
	CHECK_EQ(semctl(id, 0, GETVAL), 9); /* all or none */
	FAILS(semctl(id, 0, SETVAL, 40000), ERANGE);
	FAILS(semop(id, &(struct sembuf){ 3, 1, 0 }, 1), EFBIG);
	FAILS(semop(id, both, 0), EINVAL);
	OK(semctl(id, 0, IPC_RMID));
	FAILS(semctl(id, 0, GETVAL), EINVAL);
}

TEST(semaphores_make_wait)
{
	int id = OK(semget(IPC_PRIVATE, 2, 0600));
	pid_t child = IN_CHILD({
		operate(id, 0, -2, 0);
		operate(id, 1, 1, 0);
	});
	WAIT_FOR(semctl(id, 0, GETNCNT) == 1);
	operate(id, 0, 1, 0);
	sleep_ms(10);
	CHECK_EQ(semctl(id, 0, GETNCNT), 1);
	operate(id, 0, 1, 0);
	operate(id, 1, -1, 0);
	EXPECT_EXIT(child, 0);
	operate(id, 0, 1, 0);
	child = IN_CHILD(operate(id, 0, 0, 0));
	WAIT_FOR(semctl(id, 0, GETZCNT) == 1);
	operate(id, 0, -1, 0);
	EXPECT_EXIT(child, 0);
	struct timespec limit = { .tv_nsec = 30000000 };
	int64_t start = now_ms();
	FAILS(semtimedop(id, &(struct sembuf){ 0, -1, 0 }, 1, &limit), EAGAIN);
	CHECK(now_ms() - start >= 28);
	CHECK_EQ(semctl(id, 0, GETNCNT), 0);
	child = IN_CHILD(FAILS(semop(id, &(struct sembuf){ 0, -1, 0 }, 1), EIDRM));
	WAIT_FOR(semctl(id, 0, GETNCNT) == 1);
	OK(semctl(id, 0, IPC_RMID));
	EXPECT_EXIT(child, 0);
}

TEST(a_dead_process_undoes_its_operations)
{
	int id = OK(semget(IPC_PRIVATE, 1, 0600));
	OK(semctl(id, 0, SETVAL, 3));
	pid_t child = IN_CHILD({
		operate(id, 0, -2, SEM_UNDO);
		operate(id, 0, 1, 0);
		raise(SIGKILL);
	});
	EXPECT_KILLED(child, SIGKILL);
	CHECK_EQ(semctl(id, 0, GETVAL), 4);
	OK(semctl(id, 0, IPC_RMID));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(a_signal_interrupts_always)
{
	int id = OK(semget(IPC_PRIVATE, 1, 0600));
	struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	OK(sigaction(SIGUSR1, &action, NULL));
	pid_t child = IN_CHILD(FAILS(semop(id, &(struct sembuf){ 0, -1, 0 }, 1), EINTR));
	WAIT_FOR(semctl(id, 0, GETNCNT) == 1);
	OK(kill(child, SIGUSR1));
	EXPECT_EXIT(child, 0);
	OK(semctl(id, 0, IPC_RMID));
}

struct message {
	long type;
	char text[100];
};

static void send(int id, long type, const char *text)
{
	struct message message = { .type = type };
	strcpy(message.text, text);
	OK(msgsnd(id, &message, strlen(text), 0));
}

static const char *receive(int id, long type, int flags)
{
	static struct message message;
	long len = OK(msgrcv(id, &message, sizeof message.text - 1, type, flags));
	message.text[len] = 0;
	return message.text;
}

TEST(messages_are_chosen_by_type)
{
	int id = OK(msgget(IPC_PRIVATE, 0600));
	send(id, 3, "three");
	send(id, 2, "two");
	send(id, 1, "one");
	send(id, 2, "another two");
	struct msqid_ds ds;
	OK(msgctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.msg_qnum, 4);
	CHECK_EQ(ds.__msg_cbytes, 22);
	CHECK_STR(receive(id, 2, 0), "two");
	CHECK_STR(receive(id, -2, 0), "one");
	CHECK_STR(receive(id, 3, MSG_EXCEPT), "another two");
	CHECK_STR(receive(id, 0, 0), "three");
	struct message message;
	FAILS(msgrcv(id, &message, 10, 0, IPC_NOWAIT), ENOMSG);
	send(id, 1, "too long");
	FAILS(msgrcv(id, &message, 3, 0, 0), E2BIG);
	CHECK_EQ(msgrcv(id, &message, 3, 0, MSG_NOERROR), 3);
	FAILS(msgsnd(id, &(struct message){ .type = 0 }, 1, 0), EINVAL);
	OK(msgctl(id, IPC_RMID, NULL));
}

TEST(queues_make_wait)
{
	int id = OK(msgget(IPC_PRIVATE, 0600));
	pid_t child = IN_CHILD({
		CHECK_STR(receive(id, 7, 0), "for seven");
		struct message message;
		FAILS(msgrcv(id, &message, 10, 7, 0), EIDRM);
	});
	send(id, 6, "for six");
	WAIT_FOR(is_asleep(child));
	send(id, 7, "for seven");
	struct msqid_ds ds;
	WAIT_FOR(msgctl(id, IPC_STAT, &ds) == 0 && ds.msg_qnum == 1);
	ds.msg_qbytes = 10;
	OK(msgctl(id, IPC_SET, &ds));
	FAILS(msgsnd(id, &(struct message){ .type = 1 }, 5, IPC_NOWAIT), EAGAIN); /* full */
	WAIT_FOR(is_asleep(child));
	OK(msgctl(id, IPC_RMID, NULL));
	EXPECT_EXIT(child, 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
