#!/bin/bash
# sqlite3 with a write-ahead log: writers and readers at once, and recovery after a kill.
set -e
cd /work
sqlite3 db 'pragma journal_mode=wal; create table t(id integer primary key, who text);'
for who in a b c; do
	for i in $(seq 1 30); do
		echo "insert into t(who) values('$who');"
	done | sqlite3 -cmd '.timeout 20000' db &
done
wait
sqlite3 db 'select who, count(*) from t group by who;'
sqlite3 db "begin; insert into t(who) select 'bulk' from t, t as u limit 5000; commit; select count(*) from t;"
mkfifo hold
sqlite3 db < hold & writer=$!
exec 3> hold
echo 'begin immediate; delete from t;' >&3
sleep 0.3
sqlite3 db 'select count(*) from t;'
kill -9 $writer
wait $writer || echo "killed: $?"
exec 3>&-
sqlite3 db 'pragma integrity_check; select count(*) from t; pragma wal_checkpoint(truncate);'
sqlite3 db 'select who from t order by who;' | sha256sum
sqlite3 :memory: 'with recursive n(x) as (select 1 union all select x+1 from n where x<10000) select sum(x) from n;'
