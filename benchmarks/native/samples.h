/* All samples of one duration, kept whole so that percentiles are exact. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "wire.h"

#define SAMPLES_MAX (1 << 22)

struct samples {
    const char *name;
    int64_t *ns;
    size_t count;
    uint64_t dropped;
};

static void sample(struct samples *s, int64_t ns)
{
    if (!s->ns && !(s->ns = malloc(SAMPLES_MAX * sizeof *s->ns)))
        die("malloc");
    if (s->count == SAMPLES_MAX) {
        s->dropped++;
        return;
    }
    s->ns[s->count++] = ns < 0 ? 0 : ns;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(struct samples *s)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999};
    static const char *names[] = {"p50", "p90", "p99", "p999"};
    printf(", \"%s\": {\"n\": %zu", s->name, s->count);
    if (s->count) {
        qsort(s->ns, s->count, sizeof *s->ns, compare);
        for (int i = 0; i < 4; i++)
            printf(", \"%s\": %.1f", names[i], (double)s->ns[(size_t)(shares[i] * (double)(s->count - 1))] / 1e3);
        printf(", \"max\": %.1f", (double)s->ns[s->count - 1] / 1e3);
    }
    printf("}");
}

#endif
