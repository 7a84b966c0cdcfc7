/* A streamed answer: bytes to events, the moment inside a token to samples, the checksum. */
#ifndef LOAD_EVENTS_H
#define LOAD_EVENTS_H

#include "load_state.h"

static void take_token(struct slot *s, const char *text, const char *end)
{
    int64_t moment = mark_read(text, end);
    if (moment < 0)
        return;
    const char *second = text + MARK_DIGITS + 1;
    if (s->read_ns >= total.warm_ns)
        sample(&latency, s->read_ns - moment);
    if (s->tokens++ == 0 && s->read_ns >= total.warm_ns) {
        int64_t received = mark_read(second, end);
        sample(&first, s->read_ns - s->start_ns);
        if (received >= 0)
            sample(&first_added, s->read_ns - s->start_ns - (moment - received));
    }
}

static void take_event(struct slot *s, const char *event, size_t size)
{
    const char *mark = memchr(event, MARK, size);
    total.events++;
    s->events++;
    if (mark)
        take_token(s, mark + 1, event + size);
    if (size == 14 && !memcmp(event, "data: [DONE]\n\n", 14)) {
        s->done_seen = true;
    } else if (!mark && s->tokens && (mark = memmem(event, size, SUM_MARK, strlen(SUM_MARK)))) {
        s->sum_absent = false;
        s->sum_wrong = strtoull(mark + strlen(SUM_MARK), NULL, 16) != sum_end(&s->sum);
        return;
    }
    sum_feed(&s->sum, event, size);
}

static void take_answer(void *owner, const char *data, size_t size)
{
    struct slot *s = owner;
    total.bytes += size;
    if (settings.mode == PLAIN || settings.mode == UPLOAD) {
        sum_feed(&s->sum, data, size);
        return;
    }
    while (size) {
        const char *end = memmem(data, size, "\n\n", 2);
        bool split = s->event_size && s->event[s->event_size - 1] == '\n' && data[0] == '\n';
        size_t part = split ? 1 : end ? (size_t)(end + 2 - data) : size;
        bool over = split || end;
        if (over && !s->event_size) {
            take_event(s, data, part);
        } else {
            if (s->event_size + part > EVENT_MAX)
                part = EVENT_MAX - s->event_size, over = true;
            memcpy(s->event + s->event_size, data, part);
            s->event_size += part;
            if (over)
                take_event(s, s->event, s->event_size);
            if (over)
                s->event_size = 0;
        }
        data += part;
        size -= part;
    }
}

#endif
