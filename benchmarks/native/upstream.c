/* A scripted model server: one thread, epoll, exact schedules, every event stamped when it is sent.
 *
 * POST with "stream":true answers with server-sent events as vLLM's chat route sends them: a role
 * chunk, N tokens, a finish chunk, a usage chunk, [DONE]; each event is one HTTP chunk and one
 * write, hence one TCP segment. Everything else gets one JSON answer whose size is set; bodies of
 * any size are swallowed and their checksum goes back in a header. A peer that closes before its
 * answer is complete is written to the record with the moment it was seen. */
#define _GNU_SOURCE
#include "connection.h"
#include "words.h"
#include <signal.h>
#include <sys/resource.h>

static struct {
    int port, tokens, answer_bytes;
    int64_t interval_us, prefill_us, jitter_us;
    bool late_head;
} settings = {.tokens = 100, .answer_bytes = 2048, .interval_us = 10000, .prefill_us = 20000};

static char answer[ANSWER_MAX];
static size_t answer_size;

/* ---- answers ---- */

static bool send_event(struct connection *c, const char *event, size_t size)
{
    char chunk[EVENT_MAX + 32];
    int head = snprintf(chunk, sizeof chunk, "%zx\r\n", size);
    memcpy(chunk + head, event, size);
    memcpy(chunk + head + size, "\r\n", 2);
    sum_feed(&c->answer_sum, event, size);
    return send_all(c, chunk, (size_t)head + size + 2);
}

static bool send_delta(struct connection *c, const char *delta, const char *finish)
{
    char event[EVENT_MAX];
    return send_event(c, event, word_delta(event, c->slot, c->received_ns, delta, finish));
}

static bool send_token(struct connection *c)
{
    char delta[128];
    int64_t moment = now_ns();
    if (c->sent == 0) { /* the first one also tells when the request was here */
        c->first_ns = moment;
        snprintf(delta, sizeof delta, "\"content\":\"@%0*lld@%0*lld@\"", MARK_DIGITS,
                 (long long)moment, MARK_DIGITS, (long long)c->received_ns);
    } else {
        snprintf(delta, sizeof delta, "\"content\":\"@%0*lld@\"", MARK_DIGITS, (long long)moment);
    }
    c->last_ns = moment;
    c->sent++;
    return send_delta(c, delta, "null");
}

static bool send_head(struct connection *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ndate: Wed, 01 Jan 2025 00:00:00 GMT\r\n"
                               "server: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    c->head_sent = true;
    return send_all(c, head, sizeof head - 1);
}

static bool send_end(struct connection *c)
{
    char usage[EVENT_MAX];
    if (!send_delta(c, "\"content\":\"\"", "\"stop\""))
        return false;
    size_t size = word_usage(usage, c->slot, c->received_ns, c->sent, sum_end(&c->answer_sum));
    return send_event(c, usage, size) && send_event(c, "data: [DONE]\n\n", 14) &&
           send_all(c, "0\r\n\r\n", 5);
}

static void again(struct connection *c)
{
    record(c, "complete", now_ns());
    unschedule(&c->due);
    c->phase = HEAD;
    c->head_size = c->prefix_size = 0;
    c->id[0] = 0;
}

/* The moment of a stream's next event has come. */
static void step(struct connection *c)
{
    if (c->out_size) { /* the peer is slow: go on when it has read */
        unschedule(&c->due);
        return;
    }
    if (c->phase == PREFILL) {
        c->phase = DECODE;
        if ((!c->head_sent && !send_head(c)) ||
            !send_delta(c, "\"role\":\"assistant\",\"content\":\"\"", "null"))
            return;
    }
    if (c->sent < c->tokens && !send_token(c))
        return;
    if (c->sent < c->tokens) {
        schedule(&c->due, c->interval_ns ? c->due.due_ns + c->interval_ns : now_ns());
    } else if (send_end(c)) {
        again(c);
    }
}

static int64_t jitter_ns(void)
{
    return settings.jitter_us ? rand() % (settings.jitter_us * 1000) : 0;
}

static void answer_plain(struct connection *c)
{
    char head[256];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 200 OK\r\ndate: Wed, 01 Jan 2025 00:00:00 GMT\r\n"
                        "server: uvicorn\r\ncontent-length: %zu\r\nx-body-sum: %016llx\r\n"
                        "content-type: application/json\r\n\r\n",
                        answer_size, (unsigned long long)sum_end(&c->body_sum));
    char whole[ANSWER_MAX + 256];
    memcpy(whole, head, (size_t)size);
    memcpy(whole + size, answer, answer_size);
    ssize_t sent = send(c->fd, whole, (size_t)size + answer_size, MSG_NOSIGNAL);
    if (sent != (ssize_t)((size_t)size + answer_size))
        drop(c, "closed");
    else
        again(c);
}

/* The request is complete. */
static void answer_request(struct connection *c)
{
    const char *value;
    c->prefix[c->prefix_size] = 0;
    value = value_of(c->prefix, "\"stream\":");
    c->stream = value && !strncmp(value, "true", 4);
    value = value_of(c->prefix, "\"max_tokens\":");
    c->tokens = value ? atoi(value) : settings.tokens;
    value = value_of(c->prefix, "\"user\":");
    if (value && *value == '"')
        sscanf(value, "\"%31[^\"]", c->id);
    c->first_ns = c->last_ns = c->sent = 0;
    record(c, "received", c->received_ns);
    if (!c->stream) {
        answer_plain(c);
        return;
    }
    sum_start(&c->answer_sum);
    c->phase = PREFILL;
    c->head_sent = false;
    c->interval_ns = settings.interval_us * 1000 + jitter_ns();
    if (!settings.late_head && !send_head(c))
        return;
    schedule(&c->due, c->received_ns + settings.prefill_us * 1000 + jitter_ns());
}

/* ---- requests ---- */

static void take_body(void *owner, const char *data, size_t size)
{
    struct connection *c = owner;
    size_t room = PREFIX_MAX - c->prefix_size;
    size_t part = size < room ? size : room;
    memcpy(c->prefix + c->prefix_size, data, part);
    c->prefix_size += part;
    sum_feed(&c->body_sum, data, size);
}

static void feed_body(struct connection *c, const char *data, size_t size)
{
    bool over;
    if (c->chunked) {
        if (chunks_feed(&c->chunks, data, size, take_body, c) < 0) {
            drop(c, "broken");
            return;
        }
        over = c->chunks.state == OVER;
    } else {
        size_t part = size < c->body_left ? size : c->body_left;
        take_body(c, data, part);
        c->body_left -= part;
        over = c->body_left == 0;
    }
    if (over)
        answer_request(c);
}

static void feed_head(struct connection *c, const char *data, size_t size)
{
    size_t room = HEAD_MAX - c->head_size;
    size_t part = size < room ? size : room;
    size_t before = c->head_size;
    memcpy(c->head + before, data, part);
    c->head_size += part;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (!room)
            drop(c, "broken");
        return;
    }
    size_t used = (size_t)(end + 4 - c->head) - before;
    end[2] = 0;
    const char *value = value_of(c->head, "\r\ncontent-length:");
    c->body_left = value ? strtoul(value, NULL, 10) : 0;
    value = value_of(c->head, "\r\ntransfer-encoding:");
    c->chunked = value && !strncasecmp(value, "chunked", 7);
    c->chunks = (struct chunks){0};
    sum_start(&c->body_sum);
    c->received_ns = now_ns();
    c->phase = BODY;
    value = value_of(c->head, "\r\nexpect:");
    if (value && !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return;
    feed_body(c, data + used, size - used);
}

static void readable(struct connection *c)
{
    static char buffer[1 << 18];
    int slot = c->slot;
    for (;;) {
        ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0) {
            drop(c, "closed");
            return;
        }
        if (c->phase == HEAD)
            feed_head(c, buffer, (size_t)size);
        else if (c->phase == BODY)
            feed_body(c, buffer, (size_t)size);
        /* Anything else would be pipelining, which no proxy here does. */
        if (!connections[slot] || size < (ssize_t)sizeof buffer)
            return;
    }
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        struct connection *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = c->slot = fd;
        c->due.place = -1;
        connections[fd] = c;
        no_delay(fd);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = (uint32_t)fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

/* ---- start ---- */

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--port"))
            settings.port = atoi(value);
        else if (!strcmp(name, "--tokens"))
            settings.tokens = atoi(value);
        else if (!strcmp(name, "--interval-us"))
            settings.interval_us = atoll(value);
        else if (!strcmp(name, "--prefill-us"))
            settings.prefill_us = atoll(value);
        else if (!strcmp(name, "--jitter-us"))
            settings.jitter_us = atoll(value);
        else if (!strcmp(name, "--answer-bytes"))
            settings.answer_bytes = atoi(value);
        else if (!strcmp(name, "--late-head"))
            settings.late_head = atoi(value) != 0;
        else if (!strcmp(name, "--record"))
            record_file = fopen(value, "w");
        else {
            fprintf(stderr, "upstream: unknown option %s\n", name);
            exit(2);
        }
    }
    if (settings.answer_bytes > ANSWER_MAX / 2) {
        fprintf(stderr, "upstream: --answer-bytes is at most %d\n", ANSWER_MAX / 2);
        exit(2);
    }
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        die("upstream: listen");
    return fd;
}

static void loop(int listener)
{
    struct epoll_event events[512];
    for (;;) {
        struct timespec wait, *timeout = NULL;
        if (heap_size) {
            int64_t ns = heap[0]->due_ns - now_ns();
            ns = ns > 0 ? ns : 0;
            wait = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
            timeout = &wait;
        }
        int count = epoll_pwait2(poller, events, 512, timeout, NULL);
        for (int i = 0; i < count; i++) {
            int slot = (int)events[i].data.u32;
            struct connection *c = connections[slot];
            if (slot == listener)
                accept_all(listener);
            else if (c && (!(events[i].events & EPOLLOUT) || send_kept(c)) &&
                     events[i].events & ~(unsigned)EPOLLOUT)
                readable(c);
        }
        int64_t now = now_ns();
        for (int due = 0; due < 256 && heap_size && heap[0]->due_ns <= now; due++)
            step((struct connection *)heap[0]);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files = {65536, 65536};
    parse(argc, argv);
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    answer_size = word_answer(answer, (size_t)settings.answer_bytes);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(settings.port);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    loop(listener);
}
