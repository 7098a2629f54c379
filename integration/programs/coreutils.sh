#!/bin/bash
# coreutils and findutils over a tree of many files, on a file system of the host and in memory.
set -e
ls -lR /usr/bin /usr/lib/python3 2>&1 | sha256sum
ls -l /usr | head -n 20
find /usr/lib -type f -name '*.py' | sort | tail -n 3
find /usr/lib/python3* -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum
find /usr/share -type d | wc -l
du -s --apparent-size /usr/lib/python3.* | cut -f1
for dir in /work /tmp; do
	cd $dir
	cp -a /usr/lib/python3.11/json/. copy
	diff -r /usr/lib/python3.11/json copy && echo "the copy is the same"
	tar cf copy.tar copy
	mkdir unpacked
	tar xf copy.tar -C unpacked
	diff -r copy unpacked/copy && echo "the archive is the same"
	rm -r copy unpacked copy.tar
	seq 1 100000 | shuf --random-source=<(yes) > numbers
	sort -n numbers | sha256sum
	sort -S 1M -T . numbers | tail -n 1
	wc numbers
	split -l 30000 numbers part-
	cat part-* | cmp - numbers && ls part-*
	mkdir -p a/b/c
	touch -d '2020-02-02 02:02:02 UTC' a/file
	TZ=UTC stat -c '%n %s %A %h %Y' a/file
	ln a/file a/hard; ln -s ../file a/b/soft
	readlink -f a/b/soft
	stat -c %h a/hard
	mv a/b a/moved; ls -R a
	chmod -R u=rwX,go=rX a; stat -c %a a a/file
	install -m 0751 /dev/null a/installed; stat -c %a a/installed
	dd if=/dev/zero of=zeros bs=4k count=100 seek=10 status=none; stat -c '%s' zeros
	truncate -s 1234567 zeros; tail -c 3 zeros | od -An -tx1
	rm -rf a zeros numbers part-*
	ls -A
done
echo $((16#ff)) | tee /tmp/x | tr -d '\n' | base64
date -u -d @1000000000 +%FT%T
printf 'b\na\nc\na\n' | sort | uniq -c | sort -k1,1nr -k2
timeout 0.2 sleep 5 || echo "timeout gives $?"
nice -n 5 nice
env -i A=1 env
id; whoami; pwd; basename /a/b/c; dirname /a/b/c
yes | head -n 100000 | wc -l
