/* What the scripted upstream and the load share: the clock, a checksum, timing marks.
 *
 * Both programs run on one machine, so CLOCK_MONOTONIC is one clock for both and a moment written
 * into an event by the one can be compared by the other. Nothing here allocates. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <time.h>

#define MARK '@'          /* encloses a moment inside the text of a token */
#define MARK_DIGITS 17    /* nanoseconds, zero-padded: enough for three years of uptime */
#define SUM_MARK "fnv-"   /* precedes 16 hex digits: the checksum of all earlier events */

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* A checksum over a byte stream, whatever the cuts: FNV-1a by words of eight bytes. */
struct sum {
    uint64_t hash, word;
    unsigned held;
};

static inline void sum_start(struct sum *s)
{
    s->hash = 0xcbf29ce484222325u;
    s->word = 0;
    s->held = 0;
}

static inline void sum_word(struct sum *s, uint64_t word)
{
    s->hash = (s->hash ^ word) * 0x100000001b3u;
    s->hash ^= s->hash >> 29;
}

static inline void sum_byte(struct sum *s, unsigned char byte)
{
    s->word |= (uint64_t)byte << (8 * s->held);
    if (++s->held == 8) {
        sum_word(s, s->word);
        s->word = 0;
        s->held = 0;
    }
}

static inline void sum_feed(struct sum *s, const char *data, size_t size)
{
    while (size && s->held) {
        sum_byte(s, (unsigned char)*data++);
        size--;
    }
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        sum_word(s, word);
    }
    while (size--)
        sum_byte(s, (unsigned char)*data++);
}

static inline uint64_t sum_end(const struct sum *s)
{
    struct sum last = *s;
    sum_word(&last, last.word);
    sum_word(&last, last.held);
    return last.hash;
}

/* Reads MARK_DIGITS digits followed by MARK; -1 when they are not there. */
static inline int64_t mark_read(const char *text, const char *end)
{
    int64_t moment = 0;
    if (end - text < MARK_DIGITS + 1 || text[MARK_DIGITS] != MARK)
        return -1;
    for (int i = 0; i < MARK_DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        moment = moment * 10 + (text[i] - '0');
    }
    return moment;
}

/* The value after `"name":` in JSON or `name:` in a head; NULL when it is not there. */
static inline const char *value_of(const char *text, const char *name)
{
    const char *at = strcasestr(text, name);
    if (!at)
        return NULL;
    at += strlen(name);
    while (*at == ' ')
        at++;
    return at;
}

static inline void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

#endif
