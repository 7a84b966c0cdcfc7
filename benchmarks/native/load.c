/* The load: one thread, epoll, C slots that each repeat one request on a kept connection.
 *
 * Modes: stream (events are parsed, the moment inside each token gives its latency), plain (small
 * JSON answers), upload (a large body, its checksum compared), abort (the client leaves in
 * mid-answer and writes down when). The result is one JSON object on stdout. */
#define _GNU_SOURCE
#include "load_events.h"
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static struct slot *slots[SLOTS_MAX];
static int poller;
static char *upload;
static uint64_t upload_sum;

/* ---- requests ---- */

static void make_request(struct slot *s)
{
    char body[512];
    size_t size;
    const char *stream = settings.mode == STREAM || settings.mode == ABORT
                             ? "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                             : "\"stream\":false,";
    char model[64];
    snprintf(s->id, sizeof s->id, "%s%ld", settings.user, settings.mode == UPLOAD ? 0 : total.started);
    if (settings.models > 1)
        snprintf(model, sizeof model, "%s-%03ld", settings.model, total.started % settings.models);
    else
        snprintf(model, sizeof model, "%s", settings.model);
    size = (size_t)snprintf(body, sizeof body,
                            "{\"model\":\"%s\",%s\"max_tokens\":%d,\"user\":\"%s\",\"messages\":"
                            "[{\"role\":\"user\",\"content\":\"%s",
                            model, stream, settings.tokens, s->id,
                            settings.mode == UPLOAD ? "" : "How does a transformer work?\"}]}");
    s->request_size = (size_t)snprintf(
        s->request, sizeof s->request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nUser-Agent: load/1\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        settings.path, settings.port,
        settings.mode == UPLOAD ? size + settings.body_bytes + 4 : size, body);
    if (settings.mode == UPLOAD && !upload_sum) { /* every upload is the same: sum it once */
        sum_start(&s->sum);
        sum_feed(&s->sum, body, size);
        sum_feed(&s->sum, upload, settings.body_bytes + 4);
        upload_sum = sum_end(&s->sum);
    }
}

static void watch(struct slot *s, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)s->number};
    epoll_ctl(poller, operation, s->fd, &event);
}

static void hang_up(struct slot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void push(struct slot *s);

static void dial(struct slot *s)
{
    struct sockaddr_in address = loopback(settings.port);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("load: socket");
    no_delay(s->fd);
    if (connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        die("load: connect");
    watch(s, EPOLLOUT, EPOLL_CTL_ADD);
}

static void begin(struct slot *s)
{
    int64_t now = now_ns();
    if (total.started >= settings.requests || now >= total.stop_ns) {
        s->idle = true;
        total.active--;
        hang_up(s);
        return;
    }
    make_request(s);
    total.started++;
    s->written = s->head_size = s->event_size = 0;
    s->tokens = s->events = 0;
    s->in_head = true;
    s->body_over = s->done_seen = s->sum_wrong = s->sum_absent = false;
    s->leave_ns = 0;
    s->start_ns = now;
    sum_start(&s->sum);
    if (s->fd < 0)
        dial(s);
    else
        push(s);
}

static void failed(struct slot *s, long *kind)
{
    (*kind)++;
    total.errors++;
    hang_up(s);
    begin(s);
}

/* Writes what is left of the request: head, small body, then the upload. */
static void push(struct slot *s)
{
    size_t extra = settings.mode == UPLOAD ? settings.body_bytes + 4 : 0;
    while (s->written < s->request_size + extra) {
        size_t at = s->written;
        const char *from = at < s->request_size ? s->request + at : upload + at - s->request_size;
        size_t size = at < s->request_size ? s->request_size - at : s->request_size + extra - at;
        ssize_t sent = send(s->fd, from, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (sent < 0) {
            failed(s, &total.cut);
            return;
        }
        s->written += (size_t)sent;
    }
    s->sent_ns = now_ns();
    if (settings.mode == ABORT && settings.abort_tokens < 0)
        s->leave_ns = s->sent_ns + settings.abort_us * 1000;
    watch(s, EPOLLIN, EPOLL_CTL_MOD);
}

/* ---- answers ---- */

static void leave(struct slot *s)
{
    int64_t now = now_ns();
    hang_up(s);
    if (settings.record) {
        fprintf(settings.record, "%s %lld\n", s->id, (long long)now);
        fflush(settings.record);
    }
    total.finished++;
    begin(s);
}

static void compare_plain(struct slot *s)
{
    if (settings.mode == UPLOAD) {
        const char *value = value_of(s->head, "\r\nx-body-sum:");
        if (!value)
            total.sums_absent++;
        else if (strtoull(value, NULL, 16) == upload_sum)
            total.sums_equal++;
        else
            total.sums_wrong++;
        return;
    }
    if (!total.body_seen)
        total.body_sum = sum_end(&s->sum);
    total.body_seen = true;
    total.bodies_differ += total.body_sum != sum_end(&s->sum);
}

static void finish(struct slot *s)
{
    int64_t now = now_ns();
    if (settings.mode == STREAM || settings.mode == ABORT) {
        if (!s->done_seen || s->tokens != settings.tokens) {
            failed(s, &total.broken);
            return;
        }
        total.tokens += s->tokens;
        total.sums_wrong += s->sum_wrong;
        total.sums_absent += s->sum_absent;
        total.sums_equal += !s->sum_wrong && !s->sum_absent;
    } else {
        compare_plain(s);
    }
    total.finished++;
    if (now >= total.warm_ns)
        sample(&whole, now - s->start_ns);
    if (s->to_close)
        hang_up(s);
    begin(s);
}

static bool take_head(struct slot *s)
{
    const char *value;
    if (strncmp(s->head, "HTTP/1.1 200", 12) && strncmp(s->head, "HTTP/1.0 200", 12)) {
        if (!total.bad_status)
            fprintf(stderr, "load: first bad answer: %.200s\n", s->head);
        failed(s, &total.bad_status);
        return false;
    }
    value = value_of(s->head, "\r\ntransfer-encoding:");
    s->chunked = value && !strncasecmp(value, "chunked", 7);
    s->chunks = (struct chunks){0};
    value = value_of(s->head, "\r\ncontent-length:");
    s->body_left = value ? strtoul(value, NULL, 10) : SIZE_MAX;
    value = value_of(s->head, "\r\nconnection:");
    s->to_close = (value && !strncasecmp(value, "close", 5)) || (!s->chunked && s->body_left == SIZE_MAX);
    s->sum_absent = true;
    s->in_head = false;
    return true;
}

/* Returns false when the slot has moved on to another request. */
static bool feed_body(struct slot *s, const char *data, size_t size)
{
    bool over;
    if (s->chunked) {
        if (chunks_feed(&s->chunks, data, size, take_answer, s) < 0) {
            failed(s, &total.broken);
            return false;
        }
        over = s->chunks.state == OVER;
    } else {
        size_t part = size < s->body_left ? size : s->body_left;
        take_answer(s, data, part);
        if (s->body_left != SIZE_MAX)
            s->body_left -= part;
        over = s->body_left == 0;
    }
    if (settings.mode == ABORT && settings.abort_tokens >= 0 && s->tokens >= settings.abort_tokens) {
        leave(s);
        return false;
    }
    if (over)
        finish(s);
    return !over;
}

static bool feed(struct slot *s, const char *data, size_t size)
{
    if (!s->in_head)
        return feed_body(s, data, size);
    size_t before = s->head_size;
    size_t part = size < HEAD_MAX - before ? size : HEAD_MAX - before;
    memcpy(s->head + before, data, part);
    s->head_size += part;
    s->head[s->head_size] = 0;
    char *end = strstr(s->head, "\r\n\r\n");
    if (!end)
        return true;
    size_t used = (size_t)(end + 4 - s->head) - before;
    end[2] = 0;
    return take_head(s) && feed_body(s, data + used, size - used);
}

static void readable(struct slot *s)
{
    static char buffer[1 << 16];
    ssize_t size = recv(s->fd, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    s->read_ns = now_ns();
    total.reads++;
    if (size > 0)
        feed(s, buffer, (size_t)size);
    else if (size == 0 && !s->in_head && !s->chunked && s->body_left == SIZE_MAX)
        finish(s);
    else
        failed(s, &total.cut);
}

/* ---- start and end ---- */

static void make_slots(void)
{
    upload = malloc(settings.body_bytes + 5);
    memset(upload, 'x', settings.body_bytes);
    memcpy(upload + settings.body_bytes, "\"}]}", 5);
    for (int i = 0; i < settings.concurrency; i++) {
        slots[i] = calloc(1, sizeof *slots[i]);
        if (!slots[i])
            die("calloc");
        slots[i]->number = i;
        slots[i]->fd = -1;
    }
}

/* Starts slots evenly over the ramp; returns how long the loop may wait, in milliseconds. */
static int start_due(int *begun)
{
    int64_t now = now_ns();
    while (*begun < settings.concurrency) {
        int64_t due = total.start_ns + settings.ramp_ms * 1000000 * *begun / settings.concurrency;
        if (due > now)
            return 1;
        begin(slots[(*begun)++]);
    }
    return 20;
}

static void leave_due(void)
{
    int64_t now = now_ns();
    for (int i = 0; i < settings.concurrency; i++)
        if (!slots[i]->idle && slots[i]->leave_ns && slots[i]->leave_ns <= now)
            leave(slots[i]);
}

static void loop(void)
{
    struct epoll_event events[512];
    int begun = 0;
    total.active = settings.concurrency;
    while (total.active) {
        int wait = start_due(&begun);
        int count = epoll_wait(poller, events, 512, settings.mode == ABORT ? 1 : wait);
        for (int i = 0; i < count; i++) {
            struct slot *s = slots[events[i].data.u32];
            if (s->fd < 0)
                continue;
            if (events[i].events & EPOLLOUT)
                push(s);
            if (s->fd >= 0 && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                readable(s);
        }
        if (settings.mode == ABORT && settings.abort_tokens < 0)
            leave_due();
        if (now_ns() > total.stop_ns + (int64_t)60000000000) {
            fprintf(stderr, "load: %d slots never came to an end\n", total.active);
            total.errors += total.active;
            return;
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit files = {65536, 65536};
    parse(argc, argv);
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    make_slots();
    poller = epoll_create1(EPOLL_CLOEXEC);
    total.start_ns = now_ns();
    total.stop_ns = total.start_ns + settings.duration_ms * 1000000;
    total.warm_ns = total.start_ns + settings.warmup_ms * 1000000;
    loop();
    total.end_ns = now_ns();
    print();
    return total.errors != 0;
}
