/* What the load is told on its command line. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include "wire.h"
#include <stdbool.h>

#define SLOTS_MAX 4096

enum mode { STREAM, PLAIN, UPLOAD, ABORT };

static struct {
    int port, concurrency, tokens, abort_tokens, models;
    long requests;
    int64_t duration_ms, warmup_ms, ramp_ms, abort_us;
    size_t body_bytes;
    const char *path, *model, *user;
    enum mode mode;
    FILE *record;
} settings = {.concurrency = 1, .tokens = 100, .models = 1, .requests = 1L << 60, .duration_ms = 5000,
              .path = "/v1/chat/completions", .model = "bench-7b", .user = "u", .abort_tokens = -1};

static enum mode mode_of(const char *name)
{
    static const char *names[] = {"stream", "plain", "upload", "abort"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i]))
            return (enum mode)i;
    fprintf(stderr, "load: unknown mode %s\n", name);
    exit(2);
}

static bool set_number(const char *name, const char *value)
{
    struct { const char *name; int *to; } ints[] = {
        {"--port", &settings.port}, {"--concurrency", &settings.concurrency},
        {"--tokens", &settings.tokens}, {"--abort-tokens", &settings.abort_tokens},
        {"--models", &settings.models}};
    struct { const char *name; int64_t *to; } longs[] = {
        {"--duration-ms", &settings.duration_ms}, {"--warmup-ms", &settings.warmup_ms},
        {"--ramp-ms", &settings.ramp_ms}, {"--abort-us", &settings.abort_us}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (!strcmp(name, ints[i].name))
            return *ints[i].to = atoi(value), true;
    for (size_t i = 0; i < sizeof longs / sizeof *longs; i++)
        if (!strcmp(name, longs[i].name))
            return *longs[i].to = atoll(value), true;
    return false;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (set_number(name, value))
            continue;
        if (!strcmp(name, "--requests"))
            settings.requests = atol(value);
        else if (!strcmp(name, "--body-bytes"))
            settings.body_bytes = strtoul(value, NULL, 10);
        else if (!strcmp(name, "--path"))
            settings.path = value;
        else if (!strcmp(name, "--model"))
            settings.model = value;
        else if (!strcmp(name, "--user"))
            settings.user = value;
        else if (!strcmp(name, "--mode"))
            settings.mode = mode_of(value);
        else if (!strcmp(name, "--record"))
            settings.record = fopen(value, "w");
        else {
            fprintf(stderr, "load: unknown option %s\n", name);
            exit(2);
        }
    }
    if (settings.concurrency < 1 || settings.concurrency > SLOTS_MAX) {
        fprintf(stderr, "load: --concurrency is 1 to %d\n", SLOTS_MAX);
        exit(2);
    }
}

#endif
