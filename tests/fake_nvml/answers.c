/* The usual kinds of answers: columns of a line, text, and scripted bytes over what is told. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_nvml.h"

bool is_overlaid(const struct call *call)
{
    return scenario_find(call, A_HEX) || scenario_find(call, A_GARBAGE);
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

static void lay_hex(const char *text, const struct region *regions, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned char *out = regions[i].start;
        for (size_t n = 0; n < regions[i].size && *text && *text != ' ' && text[1]; n++, text += 2)
            out[n] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
        text += strcspn(text, " ");
        text += *text == ' ';
    }
}

static void lay_noise(int64_t seed, const struct region *regions, unsigned count)
{
    uint64_t state = (uint64_t)seed * 0x9E3779B97F4A7C15u + 1;
    for (unsigned i = 0; i < count; i++)
        for (size_t n = 0; n < regions[i].size; n++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((unsigned char *)regions[i].start)[n] = (unsigned char)(state >> 24);
        }
}

/* Puts scripted bytes over what the body wrote, then ends the call. */
unsigned finish_over(const struct call *call, unsigned code, const struct region *regions,
                     unsigned count)
{
    int64_t seed;
    const char *hex = scenario_find(call, A_HEX);
    if (code == OK && hex)
        lay_hex(hex, regions, count);
    if (code == OK && scenario_number(call, A_GARBAGE, &seed))
        lay_noise(seed, regions, count);
    return finish(code);
}

static unsigned too_few(const struct call *call)
{
    fprintf(stderr, "fake_nvml: %s: the value has too few columns\n", symbol_name(call->symbol));
    return BROKEN_SCENARIO;
}

/* Writes the columns of the call's value into `members`, whole numbers of 1, 4 or 8 bytes. */
unsigned columns(const struct call *call, const struct region *members, unsigned count)
{
    double grown;
    const char *text = scenario_find(call, A_VALUE);
    if (!text)
        return NOT_SUPPORTED;
    for (unsigned i = 0; i < count; i++) {
        char *end;
        uint64_t number = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
        if (end == text)
            return too_few(call);
        text = end;
        if (i == 0 && scenario_counter(call, &grown))
            number += (uint64_t)(int64_t)(grown + (grown < 0 ? -0.5 : 0.5));
        memcpy(members[i].start, &number, members[i].size);
    }
    return OK;
}

/* The usual body: the columns of the value go to `members`, scripted bytes over `whole`. */
unsigned answer(struct call *call, const struct region *members, unsigned count,
                struct region whole)
{
    unsigned code = OK;
    for (unsigned i = 0; i < count; i++)
        if (!members[i].start)
            return finish(INVALID_ARGUMENT);
    if (!is_overlaid(call))
        code = columns(call, members, count);
    return whole.start ? finish_over(call, code, &whole, 1)
                       : finish_over(call, code, members, count);
}

/* The value as text, for names and versions. */
unsigned words(struct call *call, char *out, unsigned size)
{
    const char *text = scenario_find(call, A_VALUE);
    struct region whole = {out, size};
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (is_overlaid(call))
        return finish_over(call, OK, &whole, 1);
    if (!text)
        return finish(NOT_SUPPORTED);
    if (strlen(text) >= size)
        return finish(INSUFFICIENT_SIZE);
    memcpy(out, text, strlen(text) + 1);
    return finish(OK);
}
