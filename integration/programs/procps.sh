#!/bin/bash
# procps: what is the same everywhere is shown, the rest is counted.
set -e
sleep 100 & one=$!
sleep 200 & two=$!
ps -eo comm,args --no-headers | grep '^sleep' | sort
ps -o pid= -p $one | tr -d ' ' | grep -c "^$one$"
ps -o stat= -p $one | cut -c1
ps -o ppid= -p $one | tr -d ' ' | grep -c "^$$\$"
ps aux | head -n 1
ps -ejH | grep -c sleep
pgrep -c sleep
pgrep -f 'sleep 200' | grep -c "^$two$"
pidof sleep | wc -w
pkill -f 'sleep 100'
wait $one || echo "killed: $?"
free | head -n 1
free -b | awk '/^Mem/ { print ($2 > 0 && $3 > 0 && $4 > 0) }'
uptime | grep -c 'load average'
vmstat | wc -l
top -bn1 | sed -n '/PID/p' | sed 's/  */ /g'
top -bn1 -p $two | grep -c ' sleep *$'
pmap $two | tail -n 1 | grep -c total
pwdx $two | cut -d: -f2
sysctl -n kernel.ostype
w -h | wc -l
kill $two
wait $two || echo "killed: $?"
cat /proc/self/comm
