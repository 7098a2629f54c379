#!/bin/bash
# bash: pipes, here-documents, substitutions, job control, traps.
cd /tmp || exit 1
cat <<END | tr a-z A-Z
a here-document with $((1 + 2)) and $(echo a command)
END
diff <(seq 1 5) <(seq 2 6)
echo "diff says $?"
set -o pipefail
false | true
echo "pipefail ${PIPESTATUS[*]}"
declare -A map=([one]=1 [two]=2)
for key in one two; do echo "$key=${map[$key]}"; done
mapfile -t lines < <(printf '%s\n' x y z)
echo "${#lines[@]} ${lines[-1]}"
coproc UPPER { tr a-z A-Z; }
upper=$UPPER_PID
echo "through a coprocess" >&"${UPPER[1]}"
eval "exec ${UPPER[1]}>&-"
cat <&"${UPPER[0]}"
wait "$upper"; echo "the coprocess gave $?"
trap 'echo "got USR1"' USR1
trap 'echo "at exit"' EXIT
(sleep 0.1; kill -USR1 $$) &
wait $!
echo "wait returned $(($? > 128))"
wait
# Job control: a stopped job, continued in the background, then waited for.
set -m
sleep 30 & sleeper=$!
kill -STOP %sleep
until [[ $(< /proc/$sleeper/stat) == *') T '* ]]; do sleep 0.02; done
sleep 0.1
jobs %sleep | sed 's/^\[[0-9]*\]//; s/  */ /g'
bg %sleep > /dev/null
until [[ $(< /proc/$sleeper/stat) == *') S '* ]]; do sleep 0.02; done
sleep 0.1
jobs -r | wc -l
kill %sleep
wait $sleeper
echo "job ended with $?"
(exit 5) & wait $!
echo "background $?"
for i in {1..20}; do (echo "$i") & done | sort -n | tr '\n' ' '
echo
ulimit -n
read -r -t 0.1 line < <(sleep 1); echo "read timed out: $(($? > 128))"
printf '%s\n' "$BASH_VERSION" | grep -c .
exec 3>out; echo to three >&3; exec 3>&-; cat out
[[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"
exit 9
