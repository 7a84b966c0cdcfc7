/* What the scenario says about a call. The file is read again whenever it changes; while a line of
 * it is wrong, every call fails. Everything here runs under the one lock.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "script.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static char path[4096];
static struct stat seen;
static struct script *script;
static bool is_read, is_wrong;
static int64_t loaded_us = -1;

static int64_t real_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t scenario_now_us(void)
{
    return script && script->is_frozen ? script->frozen_us : real_us();
}

void scenario_freeze(int64_t us)
{
    if (script) {
        script->is_frozen = true;
        script->frozen_us = us;
    }
}

static int64_t origin_us(void)
{
    if (script->has_origin)
        return script->origin_us;
    return script->is_frozen ? 0 : loaded_us;
}

void scenario_path(const char *new_path)
{
    snprintf(path, sizeof path, "%s", new_path ? new_path : "");
    is_read = is_wrong = false;
    script_free(script);
    script = NULL;
    loaded_us = real_us();
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool scenario_refresh(void)
{
    struct stat now;
    if (loaded_us < 0)
        loaded_us = real_us();
    if (stat(path, &now) != 0) {
        if (!is_wrong && *path)
            fprintf(stderr, "fake_nvml: FAKE_NVML_SCENARIO: cannot read %s\n", path);
        is_wrong = true;
        is_read = false;
        return false;
    }
    if (is_read && is_same(&now, &seen))
        return !is_wrong;
    FILE *file = now.st_size <= FILE_BYTES_MAX ? fopen(path, "r") : NULL;
    struct script *fresh = NULL;
    if (file) {
        fstat(fileno(file), &now); /* of the bytes we read, should the path change meanwhile */
        fresh = script_read(file, (size_t)now.st_size, path);
        fclose(file);
    }
    seen = now;
    is_read = true;
    is_wrong = fresh == NULL;
    if (fresh) {
        script_free(script);
        script = fresh;
        drop_apply();
    }
    return !is_wrong;
}

/* The latest line for exactly this key that holds at the moment of the call. */
static const struct entry *exactly(const struct key *key, int64_t now_us)
{
    const struct entry *best = NULL;
    int64_t elapsed_us = now_us - origin_us();
    for (const struct entry *e = script->buckets[script_bucket(key)]; e; e = e->next)
        if (script_equal(&e->key, key) && (e->from_us == 0 || e->from_us <= elapsed_us) &&
            (!best || e->from_us > best->from_us))
            best = e;
    return best;
}

/* Symbols whose values are those of another unless they have their own. */
static int related(int symbol)
{
    switch (symbol) {
    case S_nvmlDeviceGetComputeRunningProcesses:
    case S_nvmlDeviceGetComputeRunningProcesses_v2:
    case S_nvmlDeviceGetRunningProcessDetailList:
        return S_nvmlDeviceGetComputeRunningProcesses_v3;
    case S_nvmlDeviceGetGraphicsRunningProcesses:
    case S_nvmlDeviceGetGraphicsRunningProcesses_v2:
        return S_nvmlDeviceGetGraphicsRunningProcesses_v3;
    case S_nvmlDeviceGetMPSComputeRunningProcesses:
    case S_nvmlDeviceGetMPSComputeRunningProcesses_v2:
        return S_nvmlDeviceGetMPSComputeRunningProcesses_v3;
    case S_nvmlDeviceGetProcessesUtilizationInfo:
        return S_nvmlDeviceGetProcessUtilization;
    case S_nvmlDeviceGetTemperatureV:
        return S_nvmlDeviceGetTemperature;
    case S_nvmlDeviceGetCurrentClocksThrottleReasons:
        return S_nvmlDeviceGetCurrentClocksEventReasons;
    case S_nvmlDeviceGetSupportedClocksThrottleReasons:
        return S_nvmlDeviceGetSupportedClocksEventReasons;
    case S_nvmlDeviceGetRetiredPages:
        return S_nvmlDeviceGetRetiredPages_v2;
    case S_nvmlDeviceGetGpuFabricInfo:
        return S_nvmlDeviceGetGpuFabricInfoV;
    case S_nvmlSystemGetCudaDriverVersion:
        return S_nvmlSystemGetCudaDriverVersion_v2;
    default:
        return S_NONE;
    }
}

static bool is_fault(enum attribute attribute)
{
    return attribute == A_RET || attribute == A_DELAY || attribute == A_HANG ||
           attribute == A_GARBAGE || attribute == A_HEX;
}

static const struct entry *for_symbol(const struct call *call, int symbol, enum attribute attribute)
{
    struct key key = {.symbol = symbol, .attribute = (int)attribute};
    const int devices[] = {call->device, ANY};
    const int slots[] = {call->slot, ANY};
    const int64_t args[][2] = {{call->args[0], call->args[1]}, {call->args[0], NONE}, {NONE, NONE}};
    for (int d = 0; d < (call->device == LIBRARY ? 1 : 2); d++)
        for (int s = 0; s < (call->slot == NO_SLOT ? 1 : 2); s++)
            for (int a = call->args[0] == NONE ? 2 : call->args[1] == NONE; a < 3; a++) {
                key.device = devices[d];
                key.slot = slots[s];
                key.args[0] = args[a][0];
                key.args[1] = args[a][1];
                const struct entry *entry = exactly(&key, call->now_us);
                if (entry)
                    return entry;
            }
    return NULL;
}

static const struct entry *find(const struct call *call, enum attribute attribute)
{
    const struct entry *entry = for_symbol(call, call->symbol, attribute);
    if (!entry && is_fault(attribute)) {
        /* `dev.3.*` speaks of calls; the ids inside a call have faults of their own only. */
        if (call->symbol == S_FIELD || call->symbol == S_GPM || call->device == LIBRARY)
            return NULL;
        struct call any = *call;
        any.args[0] = any.args[1] = NONE;
        return for_symbol(&any, S_EVERY, attribute);
    }
    if (!entry && related(call->symbol) != S_NONE) {
        struct call other = *call;
        if (call->symbol != S_nvmlDeviceGetTemperatureV)
            other.args[1] = NONE;
        entry = for_symbol(&other, related(call->symbol), attribute);
    }
    return entry;
}

const char *scenario_find(const struct call *call, enum attribute attribute)
{
    const struct entry *entry = script ? find(call, attribute) : NULL;
    return entry ? entry->text : NULL;
}

/* For looks at other calls than the one being made. */
const char *scenario_text(enum symbol symbol, int device, int slot)
{
    struct call call = {symbol, device, slot, {NONE, NONE}, scenario_now_us()};
    return scenario_find(&call, A_VALUE);
}

bool scenario_number(const struct call *call, enum attribute attribute, int64_t *number)
{
    const char *text = scenario_find(call, attribute);
    return text && script_whole(text, strcspn(text, " "), number);
}

bool scenario_counter(const struct call *call, double *number)
{
    const struct entry *ramp = script ? find(call, A_RAMP) : NULL;
    if (!ramp)
        return false;
    char *end;
    double rate = strtod(ramp->text, &end);
    int64_t since_us = origin_us() + ramp->from_us;
    if (*end == ' ')
        since_us = strtoll(end, NULL, 10);
    *number = rate * (double)(call->now_us - since_us) / 1e6;
    return true;
}

bool scenario_has_device(int device)
{
    return script && device >= 0 && device < DEVICES_MAX && script->has_device[device];
}

bool scenario_has_slot(int device, int slot)
{
    return scenario_text(S_nvmlDeviceGetGpuInstanceId, device, slot) != NULL;
}

unsigned scenario_order(int *devices, unsigned max)
{
    unsigned count = 0;
    if (!script)
        return 0;
    if (script->order_count >= 0) {
        for (int i = 0; i < script->order_count && count < max; i++)
            devices[count++] = script->order[i];
        return count;
    }
    for (int i = 0; i < DEVICES_MAX && count < max; i++)
        if (script->has_device[i])
            devices[count++] = i;
    return count;
}

int scenario_driver(unsigned *code)
{
    *code = script ? script->driver_code : UNKNOWN;
    return script ? script->driver : 0;
}

unsigned scenario_fault(void)
{
    return script ? script->fault : OK;
}

unsigned scenario_stride(void)
{
    return script ? script->stride : 24;
}

bool scenario_is_realistic(void)
{
    return script && script->is_realistic;
}

int64_t scenario_counts_wish(void)
{
    return script ? script->counts_wish : 0;
}

bool scenario_is_dropped(const char *name)
{
    const char *word = script ? script->drop : NULL;
    for (size_t length; word && *word; word += length + (word[length] == ' ')) {
        length = strcspn(word, " ");
        if (length && word[length - 1] == '*') {
            if (strncmp(name, word, length - 1) == 0)
                return true;
        } else if (strlen(name) == length && memcmp(name, word, length) == 0) {
            return true;
        }
    }
    return false;
}
