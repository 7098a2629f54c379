#!/bin/bash
# What programs do to files of the host in a volume, where each name is asked for anew: `/work` is such a one.
set -e -o pipefail
cd /work
rm -rf work && mkdir work && cd work

echo "== names"
echo one > a; ln a b; rm a; cat b
ln b c; mv b d; cat d c; stat -c %h c
ln -s d link; cat link; readlink link
mkdir -p x/y/z; mv x moved; ls moved/y; rmdir moved/y/z
for number in $(seq 200); do echo "$number" > "file$number"; done
ls | wc -l; rm file*; ls | sort

echo "== contents"
dd if=/dev/zero of=big bs=64k count=32 2>/dev/null; stat -c %s big
truncate -s 5 big; echo more >> big; stat -c %s big; wc -c < big

echo "== attributes"
chmod 4711 d; chown 1:2 d; chmod u+s d; touch -d 2001-02-03 d; stat -c '%u %g %a %Y' d
cp -a d e; stat -c '%u %g %a %Y' e
tar cf archive.tar d e link moved; mkdir out; tar xf archive.tar -C out; ls out

echo "== a FIFO and a socket"
mkfifo fifo
(echo through > fifo) &
cat fifo; wait
python3 - <<'P'
import fcntl, mmap, os, socket, threading
server = socket.socket(socket.AF_UNIX)
server.bind("socket")
server.listen(1)
def connect():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("socket")
        client.sendall(b"hello")
thread = threading.Thread(target=connect)
thread.start()
print(server.accept()[0].recv(10))
thread.join()

print("== mappings and locks")
fd = os.open("mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8192)
mapping = mmap.mmap(fd, 8192)
mapping[0:5] = b"hello"
print(os.pread(fd, 5, 0))
os.pwrite(fd, b"J", 0)
print(mapping[0:5])
os.unlink("mapped")
os.ftruncate(fd, 3)
print(os.fstat(fd).st_nlink, os.fstat(fd).st_size)
first, second = open("lock", "w"), open("lock", "w")
fcntl.flock(first, fcntl.LOCK_EX)
try:
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as error:
    print(os.strerror(error.errno))
os.setxattr("d", "user.test", b"value")
print(os.listxattr("d"), os.getxattr("d", "user.test"))
P

echo "== git and SQLite"
git init -q repository
git -C repository config user.email a@b; git -C repository config user.name n
cp c repository/file; git -C repository add file; git -C repository commit -qm first
git -C repository mv file other; git -C repository commit -qm second
git clone -q repository clone; git -C clone log --format=%s; git -C clone status --short | wc -l
sqlite3 base 'pragma journal_mode=wal; create table t(a); insert into t values(1),(2); select sum(a) from t;'
