#!/usr/bin/python3
"""The parts of Python that lean on the kernel: processes, threads, signals, event loops, databases, files."""
import asyncio
import concurrent.futures
import mmap
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time


def square(x):
    return x * x


def subprocesses():
    print(subprocess.check_output(["sh", "-c", "echo $0; cat"], input=b"in\n"))
    done = subprocess.run(["sh", "-c", "echo err >&2; exit 3"], capture_output=True)
    print(done.returncode, done.stderr)
    try:
        subprocess.run(["sleep", "10"], timeout=0.2)
    except subprocess.TimeoutExpired:
        print("timed out")
    pipes = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(5)]
    print([p.communicate(str(i).encode())[0] for i, p in enumerate(pipes)])
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError as e:
        print(e)
    print(subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)


def threads():
    lock, total = threading.Lock(), [0]

    def add():
        for _ in range(5000):
            with lock:
                total[0] += 1

    workers = [threading.Thread(target=add) for _ in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    print("threads", total)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(list(pool.map(square, range(10))))
    event = threading.Event()
    print("event", event.wait(0.05))
    threading.Timer(0.02, event.set).start()
    print("event", event.wait(5))


def processes():
    with multiprocessing.Pool(3) as pool:
        print("pool", pool.map(square, range(20)))
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=queue.put, args=("from the child",))
    child.start()
    print(queue.get(timeout=10))
    child.join()
    value = multiprocessing.Value("i", 0)

    def bump():
        for _ in range(100):
            with value.get_lock():
                value.value += 1

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=bump) for _ in range(4)]
    for c in children:
        c.start()
    for c in children:
        c.join()
    print("shared value", value.value, [c.exitcode for c in children])
    pid = os.fork()
    if pid == 0:
        os._exit(17)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def signals():
    got = []
    signal.signal(signal.SIGUSR1, lambda s, f: got.append(s))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    signal.signal(signal.SIGALRM, lambda s, f: got.append(s))
    time.sleep(0.1)
    print("signals", [signal.Signals(s).name for s in got])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    print(signal.sigtimedwait([signal.SIGUSR2], 1).si_signo == signal.SIGUSR2)


def event_loop():
    async def main():
        async def echo(reader, writer):
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        path = os.path.join(tempfile.mkdtemp(), "socket")
        server = await asyncio.start_unix_server(echo, path)

        async def ask(i):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(f"hello {i}\n".encode())
            answer = await reader.readline()
            writer.close()
            return answer

        print(await asyncio.gather(*(ask(i) for i in range(10))))
        server.close()
        child = await asyncio.create_subprocess_exec("sh", "-c", "echo sub; exit 4", stdout=asyncio.subprocess.PIPE)
        print((await child.communicate())[0], child.returncode)
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.05)
        except asyncio.TimeoutError:
            print("asyncio timed out")
        print(await asyncio.to_thread(square, 9))

    asyncio.run(main())


def database():
    with tempfile.TemporaryDirectory(dir="/work") as folder:
        db = sqlite3.connect(os.path.join(folder, "db"))
        db.execute("pragma journal_mode=wal")
        db.execute("create table t (id integer primary key, text)")
        with db:
            db.executemany("insert into t (text) values (?)", ((f"row {i}",) for i in range(2000)))
        print(db.execute("select count(*), max(text) from t").fetchone())
        db.close()


def files():
    folder = tempfile.mkdtemp(dir="/work")
    with tempfile.NamedTemporaryFile(dir=folder) as f:
        f.write(b"x" * 100000)
        f.flush()
        print(os.stat(f.name).st_size)
        with mmap.mmap(f.fileno(), 0) as m:
            m[10:15] = b"MAPED"
            print(m.find(b"MAPED"))
        f.seek(8)
        print(f.read(9))
    with tempfile.SpooledTemporaryFile() as f:
        f.write(b"spooled")
    os.makedirs(os.path.join(folder, "a/b/c"))
    shutil.copytree("/usr/lib/python3", os.path.join(folder, "copy"), symlinks=True)
    print(sum(len(names) for _, _, names in os.walk(os.path.join(folder, "copy"))))
    shutil.rmtree(folder)
    print(os.path.exists(folder))


def sockets():
    one, two = socket.socketpair()
    socket.send_fds(one, [b"fds"], [sys.stdout.fileno()])
    data, fds, _, _ = socket.recv_fds(two, 10, 4)
    os.write(fds[0], b"through a passed descriptor\n")
    print(data, len(fds))
    with selectors.DefaultSelector() as selector:
        selector.register(two, selectors.EVENT_READ)
        print(len(selector.select(0.01)))
        one.send(b"x")
        print(len(selector.select(1)))
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.sendall(b"over loopback")
    print(server.recv(100))


for part in (subprocesses, threads, processes, signals, event_loop, database, files, sockets):
    print("--", part.__name__)
    sys.stdout.flush()
    part()
    sys.stdout.flush()
