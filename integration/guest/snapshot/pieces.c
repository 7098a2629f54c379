// Changes memory of each kind in each way after it was brought back, and looks whether it shows what it should.
//
// It says that it is ready by the file /work/ready, and goes on when there is a file /work/go. Its exit code is 42 then, and the
// line of the check that failed, on standard error, otherwise.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
// More than are copied, so that they can be mapped.
#define PAGES 64UL
#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

static unsigned char pattern(unsigned long page) { return (unsigned char)(page * 7 + 1); }

// Private memory, every page of which differs from all neighbours; `tag` tells areas from each other.
static char *area(unsigned long tag) {
    char *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    for (unsigned long page = 0; page < PAGES; page++) {
        memset(at + page * PAGE, pattern(page + tag), PAGE);
    }
    return at;
}

static int shows(const char *at, unsigned long pages, unsigned long first) {
    for (unsigned long page = 0; page < pages; page++) {
        for (unsigned long byte = 0; byte < PAGE; byte += 509) {
            if ((unsigned char)at[page * PAGE + byte] != pattern(page + first)) return 0;
        }
    }
    return 1;
}

static int is_zero(const char *at, unsigned long pages) {
    for (unsigned long byte = 0; byte < pages * PAGE; byte += 127) {
        if (at[byte]) return 0;
    }
    return 1;
}

// What a child says of memory: 0 if all is as it should be.
#define IN_CHILD(what) \
    do { \
        pid_t child = fork(); \
        if (child == 0) _exit(!(what)); \
        int status; \
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0); \
    } while (0)

int main(void) {
    char *plain = area(0), *given_back = area(100), *freed = area(200), *moved = area(300), *grown = area(400);
    char *protected = area(500), *wiped = area(600), *not_forked = area(700), *unmapped = area(800);
    char *replaced = area(900), *kept = area(1000), *hidden = area(1100), *written = area(1200), *again = area(1300);
    CHECK(mprotect(hidden, PAGES * PAGE, PROT_NONE) == 0);
    // A hole of zeros between pages: for the host these are several mappings.
    char *holes = area(1400);
    CHECK(madvise(holes + 16 * PAGE, 16 * PAGE, MADV_DONTNEED) == 0);
    int file = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char contents[PAGE];
    memset(contents, 'f', sizeof contents);
    for (unsigned long page = 0; page < PAGES; page++) CHECK(write(file, contents, PAGE) == PAGE);
    char *of_file = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    CHECK(of_file != MAP_FAILED);
    for (unsigned long page = 8; page < 40; page++) memset(of_file + page * PAGE, pattern(page), PAGE);

    close(open("/work/ready", O_CREAT | O_WRONLY, 0600));
    while (access("/work/go", F_OK)) usleep(10000);

    CHECK(shows(plain, PAGES, 0));
    IN_CHILD(shows(plain, PAGES, 0));

    CHECK(madvise(given_back + 8 * PAGE, 40 * PAGE, MADV_DONTNEED) == 0);
    CHECK(shows(given_back, 8, 100) && is_zero(given_back + 8 * PAGE, 40) && shows(given_back + 48 * PAGE, 16, 148));
    given_back[9 * PAGE] = 1;
    CHECK(madvise(given_back, PAGES * PAGE, MADV_DONTNEED) == 0 && is_zero(given_back, PAGES));

    CHECK(madvise(freed, PAGES * PAGE, MADV_FREE) == 0);
    for (unsigned long page = 0; page < PAGES; page++) CHECK(is_zero(freed + page * PAGE, 1) || shows(freed + page * PAGE, 1, 200 + page));

    // To a place with something in it, and back, larger, in parts; a part of it is written.
    memset(moved + 20 * PAGE, pattern(320), PAGE);
    char *to = mmap(NULL, 3 * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(to, 'x', 3 * PAGES * PAGE);
    CHECK(mremap(moved, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK(shows(to, PAGES, 300) && is_zero(to + PAGES * PAGE, PAGES) && to[2 * PAGES * PAGE] == 'x');
    memset(to + PAGES * PAGE, pattern(300 + PAGES), PAGE);
    IN_CHILD(shows(to, PAGES + 1, 300));
    char *back = mremap(to, 2 * PAGES * PAGE, 3 * PAGES * PAGE, MREMAP_MAYMOVE);
    CHECK(back != MAP_FAILED && shows(back, PAGES + 1, 300) && is_zero(back + (PAGES + 1) * PAGE, 2 * PAGES - 1));
    CHECK(mremap(back, 3 * PAGES * PAGE, PAGES / 2 * PAGE, 0) == back && shows(back, PAGES / 2, 300));
    char *larger = mremap(back, PAGES / 2 * PAGE, PAGES * PAGE, MREMAP_MAYMOVE);
    CHECK(larger != MAP_FAILED && shows(larger, PAGES / 2, 300) && is_zero(larger + PAGES / 2 * PAGE, PAGES / 2));

    // Where it is, into a gap that is made behind it.
    CHECK(munmap(grown + PAGES / 2 * PAGE, PAGES / 2 * PAGE) == 0);
    CHECK(mremap(grown, PAGES / 2 * PAGE, PAGES * PAGE, 0) == grown);
    CHECK(shows(grown, PAGES / 2, 400) && is_zero(grown + PAGES / 2 * PAGE, PAGES / 2));
    CHECK(mremap(grown, PAGES * PAGE, PAGES / 4 * PAGE, 0) == grown && shows(grown, PAGES / 4, 400));

    CHECK(mprotect(protected + 10 * PAGE, 10 * PAGE, PROT_READ) == 0 && shows(protected, PAGES, 500));
    CHECK(mprotect(protected, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
    memset(protected + 15 * PAGE, 1, PAGE);
    CHECK(shows(protected, 15, 500) && shows(protected + 16 * PAGE, PAGES - 16, 516));

    CHECK(madvise(wiped + 4 * PAGE, 40 * PAGE, MADV_WIPEONFORK) == 0 && shows(wiped, PAGES, 600));
    IN_CHILD(shows(wiped, 4, 600) && is_zero(wiped + 4 * PAGE, 40) && shows(wiped + 44 * PAGE, 20, 644));
    CHECK(shows(wiped, PAGES, 600));

    CHECK(madvise(not_forked, 10 * PAGE, MADV_DONTFORK) == 0);
    IN_CHILD(msync(not_forked, PAGE, MS_ASYNC) != 0 && shows(not_forked + 10 * PAGE, PAGES - 10, 710));
    CHECK(shows(not_forked, PAGES, 700));

    CHECK(munmap(unmapped + 10 * PAGE, 10 * PAGE) == 0);
    CHECK(mmap(unmapped + 10 * PAGE, 10 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == unmapped + 10 * PAGE);
    CHECK(shows(unmapped, 10, 800) && is_zero(unmapped + 10 * PAGE, 10) && shows(unmapped + 20 * PAGE, PAGES - 20, 820));

    CHECK(mmap(replaced + 10 * PAGE, 10 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == replaced + 10 * PAGE);
    CHECK(shows(replaced, 10, 900) && replaced[10 * PAGE] == 'f' && shows(replaced + 20 * PAGE, PAGES - 20, 920));

    char *elsewhere = mremap(kept, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(elsewhere != MAP_FAILED && shows(elsewhere, PAGES, 1000) && is_zero(kept, PAGES));

    CHECK(mprotect(hidden, PAGES * PAGE, PROT_READ) == 0 && shows(hidden, PAGES, 1100));

    // What a child writes is its own, and the other way round.
    int sync[2];
    CHECK(pipe(sync) == 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        memset(written, 'c', 10 * PAGE);
        CHECK(read(sync[0], &byte, 1) == 1 && shows(written + 20 * PAGE, PAGES - 20, 1220));
        CHECK(madvise(written + 20 * PAGE, 10 * PAGE, MADV_DONTNEED) == 0 && is_zero(written + 20 * PAGE, 10));
        _exit(written[0] != 'c');
    }
    memset(written + 20 * PAGE, 'p', 10 * PAGE);
    CHECK(write(sync[1], ".", 1) == 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(shows(written, 20, 1200) && written[25 * PAGE] == 'p' && shows(written + 30 * PAGE, PAGES - 30, 1230));

    CHECK(shows(holes, 16, 1400) && is_zero(holes + 16 * PAGE, 16) && shows(holes + 32 * PAGE, 32, 1432));
    char *hole = mremap(holes, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
    CHECK(hole != MAP_FAILED && shows(hole, 16, 1400) && is_zero(hole + 16 * PAGE, 16) && shows(hole + 32 * PAGE, 32, 1432));
    CHECK(is_zero(hole + PAGES * PAGE, PAGES));

    CHECK(of_file[0] == 'f' && shows(of_file + 8 * PAGE, 32, 8) && of_file[40 * PAGE] == 'f');
    CHECK(madvise(of_file + 10 * PAGE, 10 * PAGE, MADV_DONTNEED) == 0);
    CHECK(of_file[10 * PAGE] == 'f' && of_file[19 * PAGE] == 'f' && shows(of_file + 20 * PAGE, 20, 20));

    // What the kernel itself writes.
    int zeros = open("/dev/zero", O_RDONLY);
    CHECK(read(zeros, again + 5 * PAGE, 20 * PAGE) == 20 * PAGE && is_zero(again + 5 * PAGE, 20));
    CHECK(shows(again, 5, 1300) && shows(again + 25 * PAGE, PAGES - 25, 1325));
    execl("/bin/sh", "sh", "-c", "exit 42", NULL);
    return 1;
}
