/* Calls that fill arrays: field values, samples, processes, retired pages; and the two calls that
 * tell what a field tells.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "fake_nvml.h"

enum { SAMPLE_PERIOD_US = 100000, SAMPLES_KEPT = 120, ROWS_MAX = 4096, COLUMNS_MAX = 8 };
enum { TYPE_DOUBLE = 0, TYPE_U32 = 1, TYPE_U64 = 3, TYPE_S64 = 4, TYPE_S32 = 5, TYPE_U16 = 6 };

struct number {
    uint64_t whole;
    double real;
    int type;
};

/* --- field values --- */

struct field_value {
    unsigned id, scope;
    int64_t timestamp_us, latency_us;
    unsigned type, code;
    unsigned char value[8];
};
_Static_assert(sizeof(struct field_value) == 40, "size of the real struct");

/* The value of a field or metric: as written, plus what its ramp has added. */
static bool read_number(const struct call *call, struct number *into)
{
    double grown = 0;
    char *end;
    const char *text = scenario_find(call, A_VALUE);
    if (!text)
        return false;
    bool is_ramp = scenario_counter(call, &grown);
    into->real = strtod(text, &end) + grown;
    into->whole = *text == '-' ? (uint64_t)strtoll(text, NULL, 0) : strtoull(text, NULL, 0);
    into->whole += (uint64_t)(int64_t)(grown + (grown < 0 ? -0.5 : 0.5));
    if (strpbrk(text, ".en"))
        into->type = TYPE_DOUBLE;
    else if (*text == '-')
        into->type = TYPE_S64;
    else
        into->type = is_ramp || into->whole > UINT32_MAX ? TYPE_U64 : TYPE_U32;
    return true;
}

static void read_field(struct call *call, struct field_value *out)
{
    int64_t scripted = OK, period_us = 0;
    struct number number = {0};
    out->timestamp_us = call->now_us;
    out->latency_us = 1;
    if (scenario_number(call, A_PERIOD, &period_us) && period_us > 0)
        call->now_us = out->timestamp_us -= out->timestamp_us % period_us;
    scenario_number(call, A_RET, &scripted);
    out->code = (unsigned)scripted;
    if (out->code == OK && !read_number(call, &number) && !is_overlaid(call))
        out->code = NOT_SUPPORTED;
    if (out->code != OK)
        return;
    int64_t type = number.type;
    scenario_number(call, A_TYPE, &type);
    out->type = (unsigned)type;
    if (type == TYPE_DOUBLE)
        memcpy(out->value, &number.real, sizeof number.real);
    else
        memcpy(out->value, &number.whole,
               type == TYPE_U16                       ? 2
               : type == TYPE_U32 || type == TYPE_S32 ? 4
                                                      : 8);
}

EXPORT unsigned nvmlDeviceGetFieldValues(device_t device, int count, struct field_value *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetFieldValues, device, NONE, NONE);
    if (code)
        return code;
    if (!out || count < 1)
        return finish(INVALID_ARGUMENT);
    for (int i = 0; i < count; i++) {
        struct call field = {
            S_FIELD, call.device, call.slot, {out[i].id, out[i].scope}, call.now_us};
        read_field(&field, &out[i]);
        if (is_overlaid(&field)) {
            struct region value = {out[i].value, sizeof out[i].value};
            code = finish_over(&field, out[i].code, &value, 1);
            lock();
        }
    }
    struct region whole = {out, (size_t)count * sizeof *out};
    return finish_over(&call, OK, &whole, 1);
}

/* Tells field `id` where the older call has no value of its own. */
static unsigned answer_by_field(struct call *call, unsigned id, uint64_t *out)
{
    struct region members[] = {{out, sizeof *out}};
    struct number number;
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (is_overlaid(call) || scenario_find(call, A_VALUE))
        return answer(call, members, 1, members[0]);
    struct call field = {S_FIELD, call->device, call->slot, {id, 0}, call->now_us};
    if (!read_number(&field, &number))
        return finish(NOT_SUPPORTED);
    *out = number.whole;
    return finish(OK);
}

EXPORT unsigned nvmlDeviceGetTotalEnergyConsumption(device_t device, uint64_t *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetTotalEnergyConsumption, device, NONE, NONE);
    return code ? code : answer_by_field(&call, 83, out);
}

/* Fields 3 to 6: corrected and uncorrected since the driver's start, the same over all time. */
EXPORT unsigned nvmlDeviceGetTotalEccErrors(device_t device, unsigned type, unsigned kind,
                                            uint64_t *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetTotalEccErrors, device, type, kind);
    return code ? code : answer_by_field(&call, 3 + (type & 1) + 2 * (kind & 1), out);
}

/* --- rows: words of numbers with colons between; `-` is "not available" --- */

static unsigned read_rows(const char *text, uint64_t rows[][COLUMNS_MAX], unsigned max,
                          uint64_t missing)
{
    unsigned count = 0;
    while (text && *text && count < max) {
        for (int column = 0; column < COLUMNS_MAX; column++)
            rows[count][column] = missing;
        for (int column = 0; column < COLUMNS_MAX; column++) {
            char *end = (char *)text + 1;
            rows[count][column] = *text == '-' ? UINT64_MAX : strtoull(text, &end, 0);
            text = end;
            if (*text != ':')
                break;
            text++;
        }
        text += strcspn(text, " ");
        text += *text == ' ';
        count++;
    }
    return count;
}

/* --- samples --- */

struct sample {
    uint64_t timestamp_us;
    unsigned char value[8];
};
_Static_assert(sizeof(struct sample) == 16, "size of the real struct");

/* Samples at whole multiples of the period, as many as the driver's ring keeps, newer than `seen`.
 */
static unsigned make_samples(struct call *call, uint64_t seen_us, uint64_t rows[][COLUMNS_MAX])
{
    unsigned count = 0;
    int64_t now_us = call->now_us, period_us = SAMPLE_PERIOD_US;
    struct number number;
    scenario_number(call, A_PERIOD, &period_us);
    int64_t first = now_us / period_us - SAMPLES_KEPT + 1;
    if (first < 1)
        first = 1;
    if ((int64_t)seen_us / period_us + 1 > first)
        first = (int64_t)seen_us / period_us + 1;
    for (int64_t k = first; k <= now_us / period_us; k++) {
        call->now_us = k * period_us;
        if (!read_number(call, &number))
            continue;
        rows[count][0] = (uint64_t)call->now_us;
        rows[count++][1] = number.whole;
    }
    call->now_us = now_us;
    return count;
}

static unsigned select_newer(uint64_t rows[][COLUMNS_MAX], unsigned count, uint64_t seen_us)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++)
        if (rows[i][0] > seen_us)
            memmove(rows[kept++], rows[i], sizeof rows[i]);
    return kept;
}

EXPORT unsigned nvmlDeviceGetSamples(device_t device, unsigned type, uint64_t seen_us,
                                     unsigned *value_type, unsigned *count, struct sample *out)
{
    static uint64_t rows[ROWS_MAX][COLUMNS_MAX]; /* under the lock */
    struct call call;
    int64_t kind = TYPE_U32;
    unsigned have, code = begin_device(&call, S_nvmlDeviceGetSamples, device, type, NONE);
    if (code)
        return code;
    if (!value_type || !count)
        return finish(INVALID_ARGUMENT);
    const char *scripted = scenario_find(&call, A_ROWS);
    if (!scripted && !scenario_find(&call, A_VALUE))
        return finish(NOT_SUPPORTED);
    if (!out)
        return *count = SAMPLES_KEPT, finish(OK);
    if (scripted)
        have = select_newer(rows, read_rows(scripted, rows, ROWS_MAX, 0), seen_us);
    else
        have = make_samples(&call, seen_us, rows);
    if (have == 0)
        return finish(NOT_FOUND);
    scenario_number(&call, A_TYPE, &kind);
    *value_type = (unsigned)kind;
    unsigned skipped = have > *count ? have - *count : 0; /* the newest win */
    *count = have - skipped;
    for (unsigned i = 0; i < *count; i++) {
        out[i].timestamp_us = rows[i + skipped][0];
        memcpy(out[i].value, &rows[i + skipped][1], sizeof out[i].value);
    }
    struct region whole = {out, *count * sizeof *out};
    return finish_over(&call, OK, &whole, 1);
}

/* --- processes: `<pid>:<bytes>[:<gi>[:<ci>[:<protected bytes>]]]` --- */

struct process {
    unsigned pid;
    uint64_t bytes;
    unsigned gi, ci;
};
_Static_assert(sizeof(struct process) == 24, "size of the real struct");
struct process_detail {
    unsigned pid;
    uint64_t bytes;
    unsigned gi, ci;
    uint64_t protected_bytes;
};
_Static_assert(sizeof(struct process_detail) == 32, "size of the real struct");
struct process_details {
    unsigned version, mode, count;
    struct process_detail *rows;
};
_Static_assert(sizeof(struct process_details) == 24, "size of the real struct");

static uint64_t table[ROWS_MAX][COLUMNS_MAX]; /* under the lock */

static void fill_processes(unsigned count, void *out, size_t stride)
{
    for (unsigned i = 0; i < count; i++) {
        struct process_detail row;
        memset(&row, 0, sizeof row); /* the padding too, which callers copy */
        row.pid = (unsigned)table[i][0];
        row.bytes = table[i][1];
        row.gi = (unsigned)table[i][2];
        row.ci = (unsigned)table[i][3];
        row.protected_bytes = table[i][4];
        memcpy((char *)out + i * stride, &row, stride);
    }
}

static unsigned list_processes(enum symbol symbol, device_t device, unsigned *count, void *out,
                               size_t stride)
{
    struct call call;
    unsigned code = begin_device(&call, symbol, device, NONE, NONE);
    if (code)
        return code;
    const char *text = scenario_find(&call, A_VALUE);
    if (!count)
        return finish(INVALID_ARGUMENT);
    if (!text)
        return finish(NOT_SUPPORTED);
    if (stride == 0)
        stride = scenario_stride();
    unsigned have = read_rows(text, table, ROWS_MAX, UINT64_MAX);
    unsigned room = *count;
    *count = have;
    if (have > room || (have && !out))
        return finish(INSUFFICIENT_SIZE);
    fill_processes(have, out, stride);
    struct region whole = {out, have * stride};
    return finish_over(&call, OK, &whole, 1);
}

/* A list in rows of `stride` bytes; 0 is the stride of the scenario, which only the newest lists
 * have: R535.43 to 535.86 wrote 32 bytes a row. The oldest rows end after the memory.
 */
#define LIST(symbol, stride)                                            \
    EXPORT unsigned symbol(device_t device, unsigned *count, void *out) \
    {                                                                   \
        return list_processes(S_##symbol, device, count, out, stride);  \
    }
#define PROCESSES(kind)                                                       \
    LIST(nvmlDeviceGet##kind##RunningProcesses, offsetof(struct process, gi)) \
    LIST(nvmlDeviceGet##kind##RunningProcesses_v2, sizeof(struct process))    \
    LIST(nvmlDeviceGet##kind##RunningProcesses_v3, 0)
PROCESSES(Compute)
PROCESSES(Graphics)
PROCESSES(MPSCompute)

EXPORT unsigned nvmlDeviceGetRunningProcessDetailList(device_t device, struct process_details *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetRunningProcessDetailList, device,
                                 out ? out->mode : NONE, NONE);
    if (code)
        return code;
    const char *text = scenario_find(&call, A_VALUE);
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (out->version != 0x01000018)
        return finish(VERSION_MISMATCH);
    if (!text)
        return finish(NOT_SUPPORTED);
    unsigned have = read_rows(text, table, ROWS_MAX, UINT64_MAX);
    unsigned room = out->count;
    out->count = have;
    if (have > room || (have && !out->rows))
        return finish(INSUFFICIENT_SIZE);
    fill_processes(have, out->rows, sizeof *out->rows);
    return finish(OK);
}

/* --- use by process: `value` rows `<pid>:<sm>:<mem>:<enc>:<dec>[:<jpg>:<ofa>]` get the time of the
 * latest sample; `rows` have a timestamp in front --- */

struct process_use {
    unsigned pid;
    uint64_t timestamp_us;
    unsigned sm, memory, encoder, decoder;
};
_Static_assert(sizeof(struct process_use) == 32, "size of the real struct");
struct process_use_v1 {
    uint64_t timestamp_us;
    unsigned pid, sm, memory, encoder, decoder, jpeg, flow;
};
_Static_assert(sizeof(struct process_use_v1) == 40, "size of the real struct");
struct process_uses {
    unsigned version, count;
    uint64_t seen_us;
    struct process_use_v1 *rows;
};
_Static_assert(sizeof(struct process_uses) == 24, "size of the real struct");

static unsigned read_uses(const struct call *call, uint64_t seen_us)
{
    const char *scripted = scenario_find(call, A_ROWS);
    if (scripted)
        return select_newer(table, read_rows(scripted, table, ROWS_MAX, 0), seen_us);
    int64_t period_us = SAMPLE_PERIOD_US;
    scenario_number(call, A_PERIOD, &period_us);
    uint64_t newest_us = (uint64_t)(call->now_us - call->now_us % period_us);
    unsigned count =
        newest_us > seen_us ? read_rows(scenario_find(call, A_VALUE), table, ROWS_MAX, 0) : 0;
    for (unsigned i = 0; i < count; i++) {
        memmove(&table[i][1], &table[i][0], sizeof table[i] - sizeof table[i][0]);
        table[i][0] = newest_us;
    }
    return count;
}

static bool tells_uses(const struct call *call)
{
    return scenario_find(call, A_VALUE) || scenario_find(call, A_ROWS);
}

EXPORT unsigned nvmlDeviceGetProcessUtilization(device_t device, struct process_use *out,
                                                unsigned *count, uint64_t seen_us)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetProcessUtilization, device, NONE, NONE);
    if (code)
        return code;
    if (!count)
        return finish(INVALID_ARGUMENT);
    if (!tells_uses(&call))
        return finish(NOT_SUPPORTED);
    unsigned have = read_uses(&call, seen_us), room = *count;
    *count = have;
    if (have == 0)
        return finish(NOT_FOUND);
    if (have > room || !out)
        return finish(INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < have; i++)
        out[i] = (struct process_use){(unsigned)table[i][1], table[i][0],
                                      (unsigned)table[i][2], (unsigned)table[i][3],
                                      (unsigned)table[i][4], (unsigned)table[i][5]};
    struct region whole = {out, have * sizeof *out};
    return finish_over(&call, OK, &whole, 1);
}

EXPORT unsigned nvmlDeviceGetProcessesUtilizationInfo(device_t device, struct process_uses *out)
{
    struct call call;
    unsigned code =
        begin_device(&call, S_nvmlDeviceGetProcessesUtilizationInfo, device, NONE, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (out->version != 0x01000018)
        return finish(VERSION_MISMATCH);
    if (!tells_uses(&call))
        return finish(NOT_SUPPORTED);
    unsigned have = read_uses(&call, out->seen_us), room = out->count;
    out->count = have;
    if (have == 0)
        return finish(NOT_FOUND);
    if (have > room || !out->rows)
        return finish(INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < have; i++)
        out->rows[i] = (struct process_use_v1){table[i][0],           (unsigned)table[i][1],
                                               (unsigned)table[i][2], (unsigned)table[i][3],
                                               (unsigned)table[i][4], (unsigned)table[i][5],
                                               (unsigned)table[i][6], (unsigned)table[i][7]};
    struct region whole = {out->rows, have * sizeof *out->rows};
    return finish_over(&call, OK, &whole, 1);
}

/* --- retired pages: `<address>:<timestamp>` --- */

static unsigned list_pages(enum symbol symbol, device_t device, unsigned cause, unsigned *count,
                           uint64_t *addresses, uint64_t *times)
{
    struct call call;
    unsigned code = begin_device(&call, symbol, device, cause, NONE);
    if (code)
        return code;
    const char *text = scenario_find(&call, A_VALUE);
    if (!count)
        return finish(INVALID_ARGUMENT);
    if (!text)
        return finish(NOT_SUPPORTED);
    unsigned have = read_rows(text, table, ROWS_MAX, 0), room = *count;
    *count = have;
    if (have > room || (have && !addresses))
        return finish(INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < have; i++) {
        addresses[i] = table[i][0];
        if (times)
            times[i] = table[i][1];
    }
    return finish(OK);
}

EXPORT unsigned nvmlDeviceGetRetiredPages(device_t device, unsigned cause, unsigned *count,
                                          uint64_t *addresses)
{
    return list_pages(S_nvmlDeviceGetRetiredPages, device, cause, count, addresses, NULL);
}

EXPORT unsigned nvmlDeviceGetRetiredPages_v2(device_t device, unsigned cause, unsigned *count,
                                             uint64_t *addresses, uint64_t *times)
{
    return list_pages(S_nvmlDeviceGetRetiredPages_v2, device, cause, count, addresses, times);
}
