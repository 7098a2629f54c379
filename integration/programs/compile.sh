#!/bin/bash
# gcc: hello world and a program with threads.
set -e
cd /work
cat > hello.c <<'END'
#include <stdio.h>
int main(void) { printf("hello, world\n"); return 0; }
END
gcc -O2 -o hello hello.c && ./hello
gcc -static -o hello-static hello.c && ./hello-static
gcc -static-pie -o hello-pie hello.c && ./hello-pie
cat > threads.c <<'END'
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long total;
static void *work(void *arg)
{
	for (int i = 0; i < 10000; i++) { pthread_mutex_lock(&mutex); total += (long)arg; pthread_mutex_unlock(&mutex); }
	return arg;
}
int main(void)
{
	pthread_t t[8];
	for (long i = 0; i < 8; i++) pthread_create(&t[i], NULL, work, (void *)i);
	for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
	printf("%ld\n", total);
}
END
gcc -O2 -pthread -o threads threads.c && ./threads
echo 'int main(void) { return missing; }' > bad.c
gcc bad.c 2>&1 || echo "gcc gives $?"
gcc -shared -fPIC -x c -o libanswer.so - <<'END'
int answer(void) { return 42; }
END
gcc -x c -o use - -L. -lanswer -Wl,-rpath,/work <<'END'
int answer(void);
int main(void) { return answer(); }
END
./use || echo "the library says $?"
file hello-static | cut -d, -f1-2
