/* Reads a scenario file: `key value` lines, remarks, `at` lines.
 *
 * A wrong line is told once on stderr and makes the whole file invalid: a scenario that means
 * something else than it says would let a test pass for a wrong reason.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

static const char *const NAMES[] = {
#define SYMBOL_TEXT(name, us) #name,
    SYMBOLS(SYMBOL_TEXT) "field",
    "gpm",
    "*",
};
static const double USUAL_US[] = {
#define SYMBOL_TIME(name, us) us,
    SYMBOLS(SYMBOL_TIME) 0,
    0,
    0,
};
static const char *const ATTRIBUTES[A_COUNT] = {
    "ret", "delay_us", "hang", "value", "ramp", "hex", "garbage", "rows", "type", "period_us",
};

const char *symbol_name(enum symbol symbol)
{
    return NAMES[symbol];
}

double symbol_usual_us(enum symbol symbol)
{
    return USUAL_US[symbol];
}

static int symbol_of(const char *name, size_t length)
{
    for (int i = 0; i < S_COUNT; i++)
        if (strlen(NAMES[i]) == length && memcmp(NAMES[i], name, length) == 0)
            return i;
    return S_NONE;
}

static const char *source = ""; /* the path, for messages */

static bool wrong(int line, const char *what, const char *text)
{
    fprintf(stderr, "fake_nvml: %s:%d: %s: %s\n", source, line, what, text);
    return false;
}

/* A whole number with nothing after it. */
bool script_whole(const char *text, size_t length, int64_t *number)
{
    char copy[32], *end;
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    errno = 0;
    if (copy[0] == '-')
        *number = strtoll(copy, &end, 0);
    else
        *number = (int64_t)strtoull(copy, &end, 0);
    return errno == 0 && *end == 0;
}

/* The next part of a dotted key; returns its length and moves `key` behind the dot. */
static size_t part(const char **key, const char **start)
{
    *start = *key;
    size_t length = strcspn(*key, ".");
    *key += length + ((*key)[length] == '.');
    return length;
}

static bool place(const char *text, size_t length, int limit, int *number)
{
    int64_t value;
    if (length == 1 && *text == '*') {
        *number = ANY;
        return true;
    }
    if (!script_whole(text, length, &value) || value < 0 || value >= limit)
        return false;
    *number = (int)value;
    return true;
}

static int attribute_of(const char *text)
{
    for (int i = 0; i < A_COUNT; i++)
        if (strcmp(ATTRIBUTES[i], text) == 0)
            return i;
    return -1;
}

/* Reads what follows `dev.<i>.` or `lib.`: symbol, up to two arguments, attribute. */
static const char *read_key_end(const char *rest, struct key *key)
{
    const char *start;
    size_t length = part(&rest, &start);
    key->symbol = symbol_of(start, length);
    if (key->symbol == S_NONE)
        return "no such symbol";
    for (int i = 0; i < 2 && strchr(rest, '.'); i++) {
        length = part(&rest, &start);
        if (!script_whole(start, length, &key->args[i]))
            return "an argument is a whole number";
    }
    key->attribute = attribute_of(rest);
    return key->attribute < 0 ? "no such attribute" : NULL;
}

static const char *read_key(const char *text, struct key *key)
{
    const char *start;
    *key = (struct key){LIBRARY, NO_SLOT, S_NONE, -1, {NONE, NONE}};
    if (strncmp(text, "lib.", 4) == 0)
        return read_key_end(text + 4, key);
    if (strncmp(text, "dev.", 4) != 0)
        return "no such key";
    text += 4;
    size_t length = part(&text, &start);
    if (!place(start, length, DEVICES_MAX, &key->device))
        return "no such device";
    if (strncmp(text, "mig.", 4) == 0) {
        text += 4;
        length = part(&text, &start);
        if (!place(start, length, SLOTS_MAX, &key->slot))
            return "no such MIG slot";
    }
    return read_key_end(text, key);
}

unsigned script_bucket(const struct key *key)
{
    uint64_t hash = (uint64_t)key->device * 31 + (uint64_t)key->slot;
    hash = hash * 1009 + (uint64_t)key->symbol;
    hash = hash * 31 + (uint64_t)key->attribute;
    hash = hash * 1000003 + (uint64_t)key->args[0];
    hash = hash * 1000003 + (uint64_t)key->args[1];
    return (unsigned)((hash * 0x9E3779B97F4A7C15u) >> 51);
}

bool script_equal(const struct key *a, const struct key *b)
{
    return a->device == b->device && a->slot == b->slot && a->symbol == b->symbol &&
           a->attribute == b->attribute && a->args[0] == b->args[0] && a->args[1] == b->args[1];
}

/* Does `text` hold what this attribute needs? Bodies rely on it. */
static const char *check_value(int attribute, const char *text)
{
    char *end;
    int64_t number;
    switch (attribute) {
    case A_RET:
    case A_DELAY:
    case A_GARBAGE:
    case A_TYPE:
    case A_PERIOD:
        return script_whole(text, strlen(text), &number) ? NULL : "a whole number is needed";
    case A_HANG:
        return *text ? NULL : "0, 1 or a path is needed";
    case A_RAMP:
        strtod(text, &end);
        return end == text || (*end && *end != ' ') ? "a rate is needed" : NULL;
    case A_HEX:
        return text[strspn(text, "0123456789abcdefABCDEF ")] ? "hex digits are needed" : NULL;
    default:
        return NULL;
    }
}

static void remember(struct script *into, const struct key *key, int64_t from_us, const char *text)
{
    struct entry *entry = &into->entries[into->count++];
    unsigned bucket = script_bucket(key);
    *entry = (struct entry){*key, from_us, text, into->buckets[bucket]};
    into->buckets[bucket] = entry;
    if (key->device >= 0)
        into->has_device[key->device] = true;
}

static bool read_order(struct script *into, char *text)
{
    char *save, *word;
    into->order_count = 0;
    for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        int device;
        if (!place(word, strlen(word), DEVICES_MAX, &device) || device == ANY ||
            into->order_count == DEVICES_MAX)
            return false;
        into->order[into->order_count++] = device;
    }
    return true;
}

/* Lines about the library as a whole; returns 0 if `name` is none of them, -1 if it is wrong. */
static int read_setting(struct script *into, const char *name, char *text)
{
    int64_t first = 0, second = UNKNOWN;
    size_t length = strcspn(text, " ");
    bool is_number = script_whole(text, length, &first);
    if (strcmp(name, "lib.drop") == 0)
        return into->drop = text, 1;
    if (strcmp(name, "lib.order") == 0)
        return read_order(into, text) ? 1 : -1;
    if (strcmp(name, "lib.delay") == 0)
        return into->is_realistic = strcmp(text, "realistic") == 0, into->is_realistic ? 1 : -1;
    if (strcmp(name, "lib.stride") == 0)
        return into->stride = (unsigned)first, is_number && (first == 24 || first == 32) ? 1 : -1;
    if (strcmp(name, "lib.ret") == 0)
        return into->fault = (unsigned)first, is_number ? 1 : -1;
    if (strcmp(name, "lib.counts") == 0)
        return into->counts_wish = first, is_number ? 1 : -1;
    if (strcmp(name, "clock.us") == 0)
        return into->is_frozen = true, into->frozen_us = first, is_number ? 1 : -1;
    if (strcmp(name, "clock.origin_us") == 0)
        return into->has_origin = true, into->origin_us = first, is_number ? 1 : -1;
    if (strcmp(name, "lib.driver") == 0) {
        if (text[length] && !script_whole(text + length + 1, strlen(text + length + 1), &second))
            return -1;
        return into->driver = (int)first, into->driver_code = (unsigned)second, is_number ? 1 : -1;
    }
    return 0;
}

/* Cuts the remark and the blanks off, and makes every blank inside one space. */
static void tidy(char *line)
{
    char *out = line;
    for (char *in = line; *in && *in != '#'; in++) {
        char c = *in == '\t' || *in == '\r' ? ' ' : *in;
        if (c != ' ' || (out > line && out[-1] != ' '))
            *out++ = c;
    }
    if (out > line && out[-1] == ' ')
        out--;
    *out = 0;
}

static bool read_line(struct script *into, char *line, int number, int64_t *from_us)
{
    struct key key;
    tidy(line);
    if (!*line)
        return true;
    char *text = line + strcspn(line, " ");
    if (*text)
        *text++ = 0;
    if (strcmp(line, "at") == 0)
        return script_whole(text, strlen(text), from_us) ||
               wrong(number, "at needs microseconds", text);
    int setting = read_setting(into, line, text);
    if (setting)
        return setting > 0 || wrong(number, "wrong value for this setting", line);
    const char *fault = read_key(line, &key);
    if (!fault)
        fault = check_value(key.attribute, text);
    if (fault)
        return wrong(number, fault, line);
    remember(into, &key, *from_us, text);
    return true;
}

void script_free(struct script *old)
{
    if (old) {
        free(old->bytes);
        free(old->entries);
        free(old);
    }
}

static char *slurp(FILE *file, size_t size)
{
    char *bytes = malloc(size + 1);
    if (bytes) {
        size_t got = fread(bytes, 1, size, file);
        bytes[got] = 0;
    }
    return bytes;
}

struct script *script_read(FILE *file, size_t size, const char *path)
{
    source = path;
    struct script *into = calloc(1, sizeof *into);
    if (!into || !(into->bytes = slurp(file, size)))
        abort();
    into->order_count = -1;
    into->stride = 24;
    size_t lines = 1;
    for (const char *c = into->bytes; *c; c++)
        lines += *c == '\n';
    into->entries = calloc(lines, sizeof *into->entries);
    if (!into->entries)
        abort();
    int64_t from_us = 0;
    int number = 0;
    bool is_right = true;
    for (char *rest = into->bytes, *line; (line = strsep(&rest, "\n"));)
        is_right &= read_line(into, line, ++number, &from_us);
    if (is_right)
        return into;
    script_free(into);
    return NULL;
}
