/* What the load knows: its slots, its totals, its samples, and how they are printed. */
#ifndef LOAD_STATE_H
#define LOAD_STATE_H

#include "chunks.h"
#include "load_options.h"
#include "samples.h"

#define HEAD_MAX 16384
#define EVENT_MAX 8192

struct slot {
    int fd, number;
    bool idle, connecting, in_head, chunked, to_close, body_over;
    char head[HEAD_MAX + 1], event[EVENT_MAX + 1];
    size_t head_size, event_size, body_left, written;
    char request[1024];
    size_t request_size;
    struct chunks chunks;
    struct sum sum;
    int64_t start_ns, sent_ns, read_ns, leave_ns;
    int tokens, events;
    bool done_seen, sum_wrong, sum_absent;
    char id[32];
};

static struct {
    long started, finished, errors, bad_status, broken, cut, bodies_differ;
    long events, tokens, reads, sums_equal, sums_wrong, sums_absent;
    uint64_t bytes, body_sum;
    int64_t start_ns, end_ns, stop_ns, warm_ns;
    bool body_seen;
    int active;
} total;

static struct samples latency = {.name = "latency_us"}, first_added = {.name = "first_added_us"},
                      first = {.name = "first_us"}, whole = {.name = "request_us"};
static void print(void)
{
    printf("{\"wall_s\": %.6f, \"started\": %ld, \"finished\": %ld, \"errors\": %ld",
           (double)(total.end_ns - total.start_ns) / 1e9, total.started, total.finished,
           total.errors);
    printf(", \"bad_status\": %ld, \"broken\": %ld, \"cut\": %ld, \"bodies_differ\": %ld",
           total.bad_status, total.broken, total.cut, total.bodies_differ);
    printf(", \"events\": %ld, \"tokens\": %ld, \"reads\": %ld, \"bytes\": %llu", total.events,
           total.tokens, total.reads, (unsigned long long)total.bytes);
    printf(", \"sums_equal\": %ld, \"sums_wrong\": %ld, \"sums_absent\": %ld", total.sums_equal,
           total.sums_wrong, total.sums_absent);
    printf(", \"body_sum\": \"%016llx\"", (unsigned long long)total.body_sum);
    print_samples(&latency);
    print_samples(&first);
    print_samples(&first_added);
    print_samples(&whole);
    printf("}\n");
}

#endif
