#!/bin/bash
# redis on a unix socket: commands, a benchmark, a background save, a restart.
set -e
cd /work
start() {
	redis-server --port 0 --unixsocket /tmp/redis.sock --dir /work --save '' --daemonize no > log 2>&1 &
	server=$!
	for _ in $(seq 100); do redis-cli -s /tmp/redis.sock ping > /dev/null 2>&1 && return; sleep 0.05; done
	cat log; exit 1
}
cli() { redis-cli -s /tmp/redis.sock "$@"; }
start
cli set key value
cli get key
cli rpush list a b c
cli lrange list 0 -1
cli incrby counter 41
for i in $(seq 1 500); do echo "set k$i v$i"; done | cli | sort | uniq -c
redis-benchmark -s /tmp/redis.sock -n 2000 -c 10 -t set,get --csv | cut -d, -f1
cli --eval <(echo 'return redis.call("get", KEYS[1])') key
cli bgsave
while [ "$(cli info persistence | grep -c rdb_bgsave_in_progress:1)" = 1 ]; do sleep 0.05; done
cli info persistence | grep rdb_last_bgsave_status | tr -d '\r'
cli dbsize
cli shutdown nosave || true
wait $server || true
start
cli get k500
cli subscribe channel > messages & subscriber=$!
for _ in $(seq 100); do [ "$(cli publish channel hello)" = 1 ] && break; sleep 0.05; done
sleep 0.2
kill $subscriber
tail -n 1 messages
cli shutdown nosave || true
wait $server || true
ls -1
