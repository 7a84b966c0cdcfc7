/* A connection of the scripted server: its state, its record, and sending without blocking. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "chunks.h"
#include "due.h"
#include "wire.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECTIONS_MAX DUE_MAX
#define HEAD_MAX 16384
#define PREFIX_MAX 8192
#define OUT_MAX 8192

enum phase { HEAD, BODY, PREFILL, DECODE };

struct connection {
    struct due due; /* first, so that a due moment is its connection */
    int fd, slot;
    enum phase phase;
    bool chunked, stream, want_out, head_sent;
    char head[HEAD_MAX + 1], prefix[PREFIX_MAX + 1], id[32];
    size_t head_size, prefix_size, body_left;
    struct chunks chunks;
    struct sum body_sum, answer_sum;
    char out[OUT_MAX];
    size_t out_size;
    int tokens, sent;
    int64_t received_ns, interval_ns, first_ns, last_ns;
};

static struct connection *connections[CONNECTIONS_MAX];
static int poller;
static FILE *record_file;

static const char *phase_name(const struct connection *c)
{
    static const char *names[] = {"head", "body", "prefill", "decode"};
    return names[c->phase];
}

static void record(const struct connection *c, const char *end, int64_t moment_ns)
{
    if (!record_file || !c->id[0])
        return;
    fprintf(record_file, "%s %s %s %lld %lld %lld %lld %d\n", c->id, end, phase_name(c),
            (long long)c->received_ns, (long long)c->first_ns, (long long)c->last_ns,
            (long long)moment_ns, c->sent);
    fflush(record_file);
}

static void drop(struct connection *c, const char *end)
{
    if (c->phase != HEAD)
        record(c, end, now_ns());
    unschedule(&c->due);
    close(c->fd);
    connections[c->slot] = NULL;
    free(c);
}

static void watch(struct connection *c, bool want_out)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = (uint32_t)c->slot};
    if (want_out)
        event.events |= EPOLLOUT;
    if (want_out != c->want_out)
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->want_out = want_out;
}

/* Sends now, keeps what the socket does not take. False: the connection is gone. */
static bool send_all(struct connection *c, const char *data, size_t size)
{
    while (size && !c->out_size) {
        ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            drop(c, "closed");
            return false;
        }
        if (sent < 0)
            break;
        data += sent;
        size -= (size_t)sent;
    }
    if (size > OUT_MAX - c->out_size)
        die("upstream: out buffer");
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
    watch(c, c->out_size > 0);
    return true;
}

static bool send_kept(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop(c, "closed");
        return false;
    }
    if (sent > 0) {
        memmove(c->out, c->out + sent, c->out_size - (size_t)sent);
        c->out_size -= (size_t)sent;
    }
    watch(c, c->out_size > 0);
    if (!c->out_size && c->phase >= PREFILL)
        schedule(&c->due, c->due.due_ns);
    return true;
}

#endif
