"""Holds one of everything across a checkpoint, and says at the end whether it is still there.

It says that it is ready by the file /work/ready, and looks when there is a file /work/go. Its exit code is 42 then.
"""

import ctypes, fcntl, mmap, os, select, signal, socket, struct, tempfile, threading, time

data = [bytes([i % 251]) * 1000 for i in range(5000)]
digest = hash(tuple(data))

# Before there are threads, all of which must block what is read.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

# Threads, and what they wait for each other by.
counter, changed = 0, threading.Condition()


def count():
    global counter
    while True:
        with changed:
            counter += 1
            changed.notify_all()
        time.sleep(0.01)


for _ in range(3):
    threading.Thread(target=count, daemon=True).start()

# A pipe whose writer is gone, and one that is watched.
ended, end = os.pipe()
os.write(end, b"last words")
os.close(end)
pipe, into = os.pipe()
os.write(into, b"in flight")
watched = select.epoll()
watched.register(pipe, select.EPOLLIN)

# A deleted file on its way in a message, bytes in a socket, a connection that nobody has accepted.
near, far = socket.socketpair()
near.send(b"over a socket")
sender, receiver = socket.socketpair()
deleted = tempfile.TemporaryFile(dir="/tmp")
deleted.write(b"deleted file")
deleted.flush()
socket.send_fds(sender, [b"x"], [deleted.fileno()])
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
client.send(b"tcp bytes")
named = socket.socket(socket.AF_UNIX)
named.bind("/tmp/socket")
named.listen(1)
waiting = socket.socket(socket.AF_UNIX)
waiting.connect("/tmp/socket")

# A terminal, a lock, memory files, shared memory, timers, signals that are read.
master, slave = os.openpty()
os.write(master, b"typed\n")
lock = open("/tmp/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
memory_file = os.memfd_create("file")
os.write(memory_file, b"memfd")
shared = mmap.mmap(-1, 1 << 20)
shared[5000:5006] = b"shared"
mapped_file = open("/tmp/mapped", "w+b")
mapped_file.truncate(8192)
mapped = mmap.mmap(mapped_file.fileno(), 8192)
mapped[4096:4102] = b"mapped"
libc = ctypes.CDLL(None, use_errno=True)
eventfd = libc.eventfd(5, 0)
timerfd = libc.timerfd_create(1, 0)
libc.timerfd_settime(timerfd, 0, struct.pack("<qqqq", 0, 50_000_000, 0, 50_000_000), None)
signalfd = libc.signalfd(-1, struct.pack("<Q", 1 << (signal.SIGUSR1 - 1)), 0)
os.kill(os.getpid(), signal.SIGUSR1)
inotify = libc.inotify_init()
libc.inotify_add_watch(inotify, b"/tmp", 0x100)
alarms = []
signal.signal(signal.SIGALRM, lambda *_: alarms.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
os.mkdir("/tmp/here")
os.chdir("/tmp/here")
directory = os.listdir("/usr")

# A child that shares memory until it is written, and answers; and one that has ended.
questions, ask = os.pipe()
answers, answer = os.pipe()
child = os.fork()
if child == 0:
    os.close(ask)
    asked = 0
    while os.read(questions, 1):
        asked += 1
        os.write(answer, struct.pack("<I?", asked, hash(tuple(data)) == digest))
    os._exit(7)
os.close(questions)
os.close(answer)
zombie = os.fork()
if zombie == 0:
    os._exit(9)
os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)

asked, last = 0, time.monotonic()
while not os.path.exists("/work/go"):
    os.write(ask, b".")
    asked += 1
    assert os.read(answers, 5) == struct.pack("<I?", asked, True)
    with changed:
        before = counter
        assert changed.wait_for(lambda: counter > before, 60)
    now = time.monotonic()
    assert now >= last, "time went back"
    last = now
    if asked == 5:
        open("/work/ready", "w").close()
    time.sleep(0.005)

assert os.read(ended, 100) == b"last words"
hung_up = select.poll()
hung_up.register(ended, select.POLLIN)
assert hung_up.poll(0) == [(ended, select.POLLHUP)] and os.read(ended, 1) == b""
assert watched.poll(0) == [(pipe, select.EPOLLIN)] and os.read(pipe, 100) == b"in flight" and watched.poll(0) == []
assert far.recv(100) == b"over a socket"
_, descriptors, _, _ = socket.recv_fds(receiver, 10, 1)
os.lseek(descriptors[0], 0, 0)
assert os.read(descriptors[0], 100) == b"deleted file"
assert accepted.recv(100) == b"tcp bytes" and accepted.send(b"back") == 4 and client.recv(10) == b"back"
late, _ = named.accept()
assert waiting.send(b"q") == 1 and late.recv(5) == b"q"
assert os.read(slave, 100) == b"typed\n" and os.write(slave, b"out") == 3
shown = b""
while b"out" not in shown:  # behind the echo of what was typed
    shown += os.read(master, 100)
try:
    fcntl.flock(open("/tmp/lock", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    raise AssertionError("the lock is gone")
except BlockingIOError:
    pass
os.lseek(memory_file, 0, 0)
assert os.read(memory_file, 10) == b"memfd" and shared[5000:5006] == b"shared"
mapped[0:1] = b"!"
mapped_file.seek(0)
assert mapped_file.read(1) == b"!" and mapped[4096:4102] == b"mapped"
assert os.read(eventfd, 8) == struct.pack("<Q", 5) and struct.unpack("<Q", os.read(timerfd, 8))[0] > 0
assert struct.unpack_from("<I", os.read(signalfd, 128))[0] == signal.SIGUSR1
open("/tmp/created", "w").close()
assert b"created" in os.read(inotify, 4096)
had = len(alarms)
while len(alarms) == had:
    time.sleep(0.01)
assert os.getcwd() == "/tmp/here" and os.listdir("/usr") == directory
assert hash(tuple(data)) == digest
os.close(ask)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert os.waitstatus_to_exitcode(os.waitpid(zombie, 0)[1]) == 9
print("all is there", flush=True)
os._exit(42)
