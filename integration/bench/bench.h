/*
 * The frame of the benchmark programs: each measures the rows of one area.
 *
 *     ROW(name) { return TIMED(n, the_operation()); }
 *     int main(int argc, char **argv) { return run_rows(argc, argv); }
 *
 * A row does `n` operations and returns how many nanoseconds they took. n is grown until a sample takes long enough; the
 * median of some samples is printed: NAME, a tab, nanoseconds. Arguments name the rows; without any all are measured.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A sample ends in time even if most of what a row does is not timed. */
enum { SAMPLES = 3, SAMPLE_NS = 30000000, LONGEST_NS = 10 * SAMPLE_NS, MAX_ROWS = 40 };

struct row {
	const char *name;
	int64_t (*run)(long n);
};
static struct row rows[MAX_ROWS];
static int nr_rows;

#define ROW(id) \
	static int64_t row_##id(long n); \
	__attribute__((constructor)) static void register_##id(void) \
	{ \
		rows[nr_rows++] = (struct row){ #id, row_##id }; \
	} \
	static int64_t row_##id(long n)

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s, line %d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

static inline int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* How long `n` times the body take, in which `i` counts. */
#define TIMED(n, ...) \
	({ \
		int64_t start_ = now(); \
		for (long i = 0; i < (n); i++) { \
			__VA_ARGS__; \
		} \
		now() - start_; \
	})

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(const struct row *row)
{
	double sample[SAMPLES];
	long n = 1;
	for (;;) {
		int64_t start = now(), took = row->run(n);
		if (took >= SAMPLE_NS || now() - start >= LONGEST_NS)
			break;
		n *= took < SAMPLE_NS / 20 ? 10 : 2;
	}
	for (int i = 0; i < SAMPLES; i++)
		sample[i] = (double)row->run(n) / (double)n;
	qsort(sample, SAMPLES, sizeof *sample, by_value);
	printf("%s\t%.1f\n", row->name, sample[SAMPLES / 2]);
	fflush(stdout);
}

static int run_rows(int argc, char **argv)
{
	for (int k = 0; k < nr_rows; k++) {
		int is_wanted = argc < 2;
		for (int i = 1; i < argc; i++)
			is_wanted |= !strcmp(argv[i], rows[k].name);
		if (is_wanted)
			measure(&rows[k]);
	}
	return 0;
}

#endif
