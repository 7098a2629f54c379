# A program of which copies are made. Each finds out by itself that it is one, says what it has of its own, writes to memory, to
# a file in memory and to one of the root, and, if nobody else's writes are seen there in the meantime, makes a file that says so
# and ends with 42.
import os
import select
import sys
import time

PAGES = 256
memory = bytearray(b"template" * 512 * PAGES)
with open("/tmp/file", "wb") as file:
    file.write(b"template" * 100_000)
with open("/etc/owner", "w") as file:
    file.write("template")

generation = open("/proc/cloister/generation")
assert generation.read() == "0\n"
epoll = select.epoll()
epoll.register(generation, select.EPOLLPRI)
poll = select.poll()
poll.register(generation, select.POLLPRI)
assert epoll.poll(0) == [] and poll.poll(0) == []

open("/work/ready", "w").close()
[(_, events)] = epoll.poll()
assert events == select.EPOLLPRI | select.EPOLLERR, events
assert len(poll.poll(0)) == 1
generation.seek(0)
assert generation.read() == "1\n"
assert epoll.poll(0) == [] and poll.poll(0) == []

variables = dict(part.split("=", 1) for part in open("/proc/cloister/environment").read().split("\0") if part)
name = variables["NAME"]
assert memory == b"template" * 512 * PAGES
assert open("/tmp/file", "rb").read() == b"template" * 100_000
assert open("/etc/owner").read() == "template"
read = lambda path: open(path).read().strip()
own = [os.urandom(16).hex(), read("/proc/sys/kernel/random/uuid"), read("/proc/sys/kernel/random/boot_id")]
mark = f"{name:8.8}".encode()
memory[:] = mark * 512 * PAGES
with open("/tmp/file", "wb") as file:
    file.write(mark * 100_000)
with open("/etc/owner", "w") as file:
    file.write(name)
with open(f"/work/{name}.new", "w") as file:
    file.write("\n".join(own + [os.uname().nodename]))
os.rename(f"/work/{name}.new", f"/work/{name}")

while not os.path.exists("/work/go"):
    time.sleep(0.02)
assert memory == mark * 512 * PAGES, "another wrote to this memory"
assert open("/tmp/file", "rb").read() == mark * 100_000, "another wrote to a file in memory"
assert open("/etc/owner").read() == name, "another wrote to the root"
open(f"/work/{name}.good", "w").close()
sys.exit(42)
