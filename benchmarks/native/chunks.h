/* HTTP/1.1 chunked framing, cut anywhere, for both ends. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include <stddef.h>
#include <sys/types.h>

/* State between reads. The data of the chunks goes to `take`. */
struct chunks {
    enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, OVER } state;
    size_t left;
    unsigned line;
};

typedef void take_fn(void *owner, const char *data, size_t size);

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of framing. Returns -1 when the framing is broken. */
static inline int chunks_step(struct chunks *k, char c)
{
    switch (k->state) {
    case SIZE:
        if (hex_digit(c) >= 0)
            k->left = k->left * 16 + (size_t)hex_digit(c);
        else if (c == '\r')
            k->state = SIZE_LF;
        else if (c != ';' && c != ' ')
            return -1;
        return 0;
    case SIZE_LF:
        k->state = k->left ? DATA : TRAILER;
        k->line = 0;
        return c == '\n' ? 0 : -1;
    case DATA_CR:
        k->state = DATA_LF;
        return c == '\r' ? 0 : -1;
    case DATA_LF:
        k->state = SIZE;
        return c == '\n' ? 0 : -1;
    case TRAILER:
        if (c == '\n') {
            if (k->line == 0)
                k->state = OVER;
            k->line = 0;
        } else if (c != '\r') {
            k->line++;
        }
        return 0;
    default:
        return -1;
    }
}

/* Returns how many bytes were used (less than size only at the end), -1 when framing is broken. */
static inline ssize_t chunks_feed(struct chunks *k, const char *data, size_t size, take_fn *take,
                                  void *owner)
{
    size_t at = 0;
    while (at < size && k->state != OVER) {
        if (k->state != DATA) {
            if (chunks_step(k, data[at++]) < 0)
                return -1;
            continue;
        }
        size_t part = size - at < k->left ? size - at : k->left;
        take(owner, data + at, part);
        at += part;
        k->left -= part;
        if (!k->left)
            k->state = DATA_CR;
    }
    return (ssize_t)at;
}

#endif
