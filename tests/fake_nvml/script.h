/* A scenario file as it was read: lines by key, and settings of the library as a whole. */
#ifndef FAKE_NVML_SCRIPT_H
#define FAKE_NVML_SCRIPT_H

#include <stdio.h>

#include "fake_nvml.h"

enum { BUCKETS = 8192 };

struct key {
    int device; /* a number, ANY or LIBRARY */
    int slot;   /* a number, ANY or NO_SLOT */
    int symbol;
    int attribute;
    int64_t args[2];
};

struct entry {
    struct key key;
    int64_t from_us; /* of the `at` line above it, after the origin */
    const char *text;
    struct entry *next; /* of the same bucket; the latest line comes first */
};

struct script {
    char *bytes;
    struct entry *entries;
    size_t count;
    struct entry *buckets[BUCKETS];
    bool has_device[DEVICES_MAX];
    int order[DEVICES_MAX];
    int order_count; /* -1: every device, ascending */
    const char *drop;
    unsigned stride;
    unsigned fault;
    int driver;
    unsigned driver_code;
    bool is_realistic;
    int64_t counts_wish;
    bool is_frozen;
    int64_t frozen_us;
    bool has_origin;
    int64_t origin_us;
};

/* Reads a whole file; NULL if a line of it is wrong, which has then been told on stderr. */
struct script *script_read(FILE *file, size_t size, const char *path);
void script_free(struct script *script);
unsigned script_bucket(const struct key *key);
bool script_equal(const struct key *a, const struct key *b);
bool script_whole(const char *text, size_t length, int64_t *number);

#endif
