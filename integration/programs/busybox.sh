#!/bin/busybox sh
# The shell and the applets of busybox.
set -e
cd /tmp
for i in 1 2 3; do echo "line $i"; done > lines
busybox grep -c line lines
busybox sed 's/line/row/' lines | busybox sort -r | busybox head -n 2
x=$(busybox expr 6 \* 7)
echo "x is $x"
f() { local y=$1; shift; echo "f $y $# $*"; return 3; }
f a "b c" d || echo "returned $?"
case "hello.tar" in *.tar) echo archive ;; *) echo other ;; esac
i=0
while [ $i -lt 5 ]; do i=$((i + 1)); [ $i = 3 ] && continue; printf '%d ' $i; done
echo
(exit 7) || echo "subshell $?"
busybox seq 1 1000 | busybox awk '{ s += $1 } END { print s }'
busybox find /etc -name '*.conf' -type f | busybox sort | busybox head -n 5
echo data | busybox gzip | busybox gunzip | busybox md5sum
busybox tar cf - -C /etc passwd group | busybox tar tf -
trap 'echo trapped' USR1
kill -USR1 $$
sh -c 'kill -TERM $$' || echo "killed $?"
exec busybox echo done
