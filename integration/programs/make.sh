#!/bin/bash
# make -j2 of a C project of fifty files, then again after a change.
set -e
cd /work
mkdir src
for i in $(seq 1 50); do
	printf '#include "all.h"\nint f%d(int x) { return x * %d + f0(x); }\n' "$i" "$i" > "src/f$i.c"
done
{
	echo '#include <stdio.h>'
	echo 'static inline int f0(int x) { return x & 1; }'
	for i in $(seq 1 50); do echo "int f$i(int x);"; done
} > src/all.h
{
	echo '#include "all.h"'
	echo 'int main(void) { long sum = 0;'
	for i in $(seq 1 50); do echo "sum += f$i($i);"; done
	echo 'printf("%ld\n", sum); }'
} > src/main.c
cat > Makefile <<'END'
sources := $(sort $(wildcard src/*.c))
objects := $(sources:.c=.o)
program: $(objects)
	$(CC) -o $@ $^
%.o: %.c src/all.h
	$(CC) -O1 -c -o $@ $<
clean:
	rm -f program $(objects)
END
make -j2 2>&1 | sort
./program
touch -d '+1 hour' src/f7.c
make -j2 2>&1 | grep -v 'modification time\|Clock skew' | sort
make -q clean || true
make clean | wc -w
ls
