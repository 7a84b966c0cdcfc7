/* Performance metrics: two samples, and what happened between them.
 *
 * A metric with a ramp is an integral, so that its mean between any two samples is exact; without
 * one it is a constant. A buffer used by a second thread is a fault of the caller that has crashed
 * kernel drivers, and is counted; freed buffers are kept, so that their use is seen as well.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "fake_nvml.h"

enum { BUFFERS_MAX = 4096, EARLY_US = 100000 };

struct buffer {
    bool is_freed, is_filled;
    int device, slot;
    int64_t thread, moment_us;
    double sums[METRICS_MAX];
};

struct metric {
    unsigned id, code;
    double value;
    const char *short_name, *long_name, *unit;
};
_Static_assert(sizeof(struct metric) == 40, "size of the real struct");

struct metrics {
    unsigned version, count;
    struct buffer *first, *second;
    struct metric rows[];
};
_Static_assert(sizeof(struct metrics) == 24, "size of the real struct");

static struct buffer *buffers[BUFFERS_MAX];
static unsigned buffer_count;

void gpm_reset(void)
{
    for (unsigned i = 0; i < buffer_count; i++)
        free(buffers[i]);
    buffer_count = 0;
}

/* Is this a buffer of ours that may be used, by this thread? */
static bool claim(struct buffer *buffer)
{
    for (unsigned i = 0; i < buffer_count; i++)
        if (buffers[i] == buffer) {
            if (buffer->is_freed)
                return violated("gpm_freed"), false;
            if (buffer->thread && buffer->thread != thread_number())
                violated("gpm_threads");
            buffer->thread = thread_number();
            return true;
        }
    violated("gpm_unknown");
    return false;
}

/* A long test allocates more than we keep: the oldest freed one gives way. */
static bool keep(struct buffer *buffer)
{
    if (buffer_count < BUFFERS_MAX) {
        buffers[buffer_count++] = buffer;
        return true;
    }
    for (unsigned i = 0; i < buffer_count; i++)
        if (buffers[i]->is_freed) {
            free(buffers[i]);
            buffers[i] = buffer;
            return true;
        }
    return false;
}

EXPORT unsigned nvmlGpmSampleAlloc(struct buffer **out)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlGpmSampleAlloc, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    struct buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer || !keep(buffer))
        return free(buffer), finish(OUT_OF_MEMORY);
    living("gpm_samples", 1);
    *out = buffer;
    return finish(OK);
}

EXPORT unsigned nvmlGpmSampleFree(struct buffer *buffer)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlGpmSampleFree, NONE);
    if (code)
        return code;
    for (unsigned i = 0; i < buffer_count; i++)
        if (buffers[i] == buffer && !buffer->is_freed) {
            buffer->is_freed = true; /* the thread that frees may be another one */
            living("gpm_samples", -1);
            return finish(OK);
        }
    violated("gpm_freed");
    return finish(INVALID_ARGUMENT);
}

static struct call metric_call(const struct buffer *buffer, int64_t id)
{
    return (struct call){S_GPM, buffer->device, buffer->slot, {id, NONE}, buffer->moment_us};
}

static unsigned fill(struct call *call, int slot, struct buffer *buffer)
{
    if (!claim(buffer))
        return finish(INVALID_ARGUMENT);
    buffer->is_filled = true;
    buffer->device = call->device;
    buffer->slot = slot;
    buffer->moment_us = call->now_us;
    for (int id = 0; id < METRICS_MAX; id++) {
        struct call metric = metric_call(buffer, id);
        const char *text = scenario_find(&metric, A_VALUE);
        double grown = 0;
        if (!text)
            continue;
        scenario_counter(&metric, &grown);
        buffer->sums[id] = strtod(text, NULL) + grown;
    }
    return finish(OK);
}

EXPORT unsigned nvmlGpmSampleGet(device_t device, struct buffer *buffer)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlGpmSampleGet, device, NONE, NONE);
    return code ? code : fill(&call, call.slot, buffer);
}

EXPORT unsigned nvmlGpmMigSampleGet(device_t device, unsigned instance, struct buffer *buffer)
{
    struct call call;
    int64_t id;
    unsigned code = begin_device(&call, S_nvmlGpmMigSampleGet, device, instance, NONE);
    if (code)
        return code;
    for (int slot = 0; slot < SLOTS_MAX; slot++) {
        struct call which = {
            S_nvmlDeviceGetGpuInstanceId, call.device, slot, {NONE, NONE}, call.now_us};
        if (scenario_number(&which, A_VALUE, &id) && id == (int64_t)instance)
            return fill(&call, slot, buffer);
    }
    return finish(INVALID_ARGUMENT);
}

static void read_metric(const struct metrics *all, struct metric *row)
{
    struct call metric = metric_call(all->second, row->id);
    int64_t scripted = OK;
    double ignored;
    const char *text = row->id < METRICS_MAX ? scenario_find(&metric, A_VALUE) : NULL;
    scenario_number(&metric, A_RET, &scripted);
    row->code = scripted ? (unsigned)scripted : text ? OK : NOT_SUPPORTED;
    row->short_name = row->long_name = "fake";
    row->unit = row->id < 20 ? "%" : "MiB/s";
    if (row->code != OK)
        return;
    double span_s = (double)(all->second->moment_us - all->first->moment_us) / 1e6;
    if (span_s < EARLY_US / 1e6)
        row->value = 0; /* as the real one: zeros and no error */
    else if (scenario_counter(&metric, &ignored))
        row->value = (all->second->sums[row->id] - all->first->sums[row->id]) / span_s;
    else
        row->value = all->second->sums[row->id];
}

EXPORT unsigned nvmlGpmMetricsGet(struct metrics *out)
{
    struct call call = {S_nvmlGpmMetricsGet, LIBRARY, NO_SLOT, {NONE, NONE}, 0};
    lock();
    for (unsigned i = 0; out && i < buffer_count; i++)
        if (buffers[i] == out->second && out->second->is_filled) {
            call.device = out->second->device;
            call.slot = out->second->slot;
        }
    unlock();
    unsigned code = begin(&call);
    if (code)
        return code;
    if (!out || !claim(out->first) || !claim(out->second))
        return finish(INVALID_ARGUMENT);
    if (out->version != 1)
        return finish(VERSION_MISMATCH);
    if (!out->first->is_filled || !out->second->is_filled ||
        out->first->device != out->second->device || out->first->slot != out->second->slot ||
        out->first->moment_us > out->second->moment_us)
        return finish(INVALID_ARGUMENT);
    if (out->second->moment_us - out->first->moment_us < EARLY_US)
        violated("gpm_early");
    for (unsigned i = 0; i < out->count; i++)
        read_metric(out, &out->rows[i]);
    struct region whole = {out->rows, out->count * sizeof *out->rows};
    return finish_over(&call, OK, &whole, 1);
}
