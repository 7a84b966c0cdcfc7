/* Events: lines that tests append to a file, read by every event set from the place where it was
 * registered on; as in the real library, nothing from before the registration is ever told.
 *
 *     <device> <data>                      an XID
 *     <device> <data> <type> <gi> <ci>     any event
 *     system <type> <gpu id>               driver unbound (1) or bound (2)
 */
#define _GNU_SOURCE
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"
#include "fake_nvml.h"

enum { SETS_MAX = 256, LINE_MAX_BYTES = 256, SLICE_MS = 250, XID = 8 };

struct set {
    bool is_used, is_system;
    uint64_t masks[DEVICES_MAX];
    long from[DEVICES_MAX]; /* where in the file this device was registered */
    uint64_t system_mask;
    long at; /* how far this set has read */
};

struct event {
    struct handle *device;
    uint64_t type, data;
    unsigned gi, ci;
};
_Static_assert(sizeof(struct event) == 32, "size of the real struct");

struct system_event {
    uint64_t type;
    unsigned gpu_id;
};
_Static_assert(sizeof(struct system_event) == 16, "size of the real struct");

static char path[4096];
static struct set sets[SETS_MAX];

void events_path(const char *new_path)
{
    snprintf(path, sizeof path, "%s", new_path ? new_path : "");
}

void events_reset(void)
{
    memset(sets, 0, sizeof sets);
}

static long end_of_file(void)
{
    long end = 0;
    FILE *file = fopen(path, "r");
    if (file) {
        fseek(file, 0, SEEK_END);
        end = ftell(file);
        fclose(file);
    }
    return end;
}

static struct set *new_set(bool is_system)
{
    for (int i = 0; i < SETS_MAX; i++)
        if (!sets[i].is_used) {
            sets[i] = (struct set){.is_used = true, .is_system = is_system, .at = end_of_file()};
            living("event_sets", 1);
            return &sets[i];
        }
    return NULL;
}

static bool is_set(const struct set *set, bool is_system)
{
    return set >= sets && set < sets + SETS_MAX && set->is_used && set->is_system == is_system;
}

EXPORT unsigned nvmlEventSetCreate(struct set **out)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlEventSetCreate, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    *out = new_set(false);
    return finish(*out ? OK : OUT_OF_MEMORY);
}

EXPORT unsigned nvmlEventSetFree(struct set *set)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlEventSetFree, NONE);
    if (code)
        return code;
    if (!is_set(set, false))
        return finish(INVALID_ARGUMENT);
    set->is_used = false;
    living("event_sets", -1);
    return finish(OK);
}

EXPORT unsigned nvmlDeviceRegisterEvents(device_t device, uint64_t types, struct set *set)
{
    struct call call;
    int64_t supported = 0;
    unsigned code = begin_device(&call, S_nvmlDeviceRegisterEvents, device, NONE, NONE);
    if (code)
        return code;
    struct call what = {
        S_nvmlDeviceGetSupportedEventTypes, call.device, NO_SLOT, {NONE, NONE}, call.now_us};
    if (!is_set(set, false) || types == 0)
        return finish(INVALID_ARGUMENT);
    if (device->slot != NO_SLOT || !scenario_number(&what, A_VALUE, &supported) ||
        (types & ~(uint64_t)supported))
        return finish(NOT_SUPPORTED);
    if (!set->masks[call.device])
        set->from[call.device] = end_of_file();
    set->masks[call.device] |= types;
    return finish(OK);
}

/* The next whole line behind `at`; false at the end. */
static bool next_line(FILE *file, long *at, char *line, size_t size)
{
    if (fseek(file, *at, SEEK_SET) != 0 || !fgets(line, (int)size, file) || !strchr(line, '\n'))
        return false;
    *at = ftell(file);
    return true;
}

static bool next_event(struct set *set, struct event *out)
{
    char line[LINE_MAX_BYTES];
    bool is_found = false;
    FILE *file = fopen(path, "r");
    while (file && !is_found) {
        long start = set->at;
        int device;
        unsigned long long data, type = XID;
        unsigned gi = UINT32_MAX, ci = UINT32_MAX;
        if (!next_line(file, &set->at, line, sizeof line))
            break;
        if (sscanf(line, "%d %llu %llu %u %u", &device, &data, &type, &gi, &ci) < 2 || device < 0 ||
            device >= DEVICES_MAX)
            continue;
        is_found = (set->masks[device] & type) && start >= set->from[device];
        *out = (struct event){handle_of(device, NO_SLOT), type, data, gi, ci};
    }
    if (file)
        fclose(file);
    return is_found;
}

static unsigned next_system_events(struct set *set, struct system_event *out, unsigned max)
{
    char line[LINE_MAX_BYTES];
    unsigned count = 0;
    FILE *file = fopen(path, "r");
    while (file && count < max && next_line(file, &set->at, line, sizeof line)) {
        unsigned long long type;
        unsigned gpu_id = 0;
        if (sscanf(line, "system %llu %u", &type, &gpu_id) >= 1 && (set->system_mask & type))
            out[count++] = (struct system_event){type, gpu_id};
    }
    if (file)
        fclose(file);
    return count;
}

/* A lost device makes the wait of every set fail that it is registered in. */
static unsigned fault_of_devices(const struct set *set)
{
    int64_t scripted;
    for (int device = 0; device < DEVICES_MAX; device++) {
        struct call call = {
            S_nvmlEventSetWait_v2, device, NO_SLOT, {NONE, NONE}, scenario_now_us()};
        if (set->masks[device] && scenario_number(&call, A_RET, &scripted) && scripted != OK)
            return (unsigned)scripted;
    }
    return OK;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps until the file grows or another one is moved beside it, at most `ms`. Without the lock. */
static void wait_for_growth(int watch, int64_t ms)
{
    char ignored[4096];
    struct pollfd ready = {watch, POLLIN, 0};
    if (poll(&ready, 1, (int)ms) > 0 && read(watch, ignored, sizeof ignored) < 0)
        usleep(1000);
}

static int watch_file(void)
{
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch >= 0) {
        char folder[sizeof path];
        snprintf(folder, sizeof folder, "%s", path);
        inotify_add_watch(watch, path, IN_MODIFY);
        inotify_add_watch(watch, dirname(folder), IN_MOVED_TO); /* a scenario is published so */
    }
    return watch;
}

/* Waits in slices, because a fault may begin by the scenario's clock. `call` has ended. */
static unsigned wait_for(struct call *call, struct set *set, unsigned timeout_ms, struct event *out)
{
    int64_t end_ms = monotonic_ms() + timeout_ms;
    int watch = watch_file();
    unsigned code = TIMED_OUT;
    for (;;) {
        int64_t left_ms = end_ms - monotonic_ms();
        lock();
        bool is_right = scenario_refresh() && is_set(set, false);
        int64_t scripted = OK;
        code = is_right ? fault_of_devices(set) : BROKEN_SCENARIO;
        if (code == OK && scenario_number(call, A_RET, &scripted))
            code = (unsigned)scripted;
        if (code == OK)
            code = initialized() ? scenario_fault() : UNINITIALIZED;
        bool is_found = code == OK && next_event(set, out);
        unlock();
        if (code != OK || is_found)
            break;
        code = TIMED_OUT;
        if (left_ms <= 0)
            break;
        wait_for_growth(watch, left_ms < SLICE_MS ? left_ms : SLICE_MS);
    }
    if (watch >= 0)
        close(watch);
    return code;
}

EXPORT unsigned nvmlEventSetWait_v2(struct set *set, struct event *out, unsigned timeout_ms)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlEventSetWait_v2, NONE);
    if (code)
        return code;
    if (!is_set(set, false) || !out)
        return finish(INVALID_ARGUMENT);
    finish(OK);
    return wait_for(&call, set, timeout_ms, out);
}

struct system_set_request {
    unsigned version;
    struct set *set;
};
_Static_assert(sizeof(struct system_set_request) == 16, "size of the real struct");
struct system_register_request {
    unsigned version;
    uint64_t types;
    struct set *set;
};
_Static_assert(sizeof(struct system_register_request) == 24, "size of the real struct");
struct system_wait_request {
    unsigned version, timeout_ms;
    struct set *set;
    struct system_event *rows;
    unsigned room, count;
};
_Static_assert(sizeof(struct system_wait_request) == 32, "size of the real struct");

EXPORT unsigned nvmlSystemEventSetCreate(struct system_set_request *request)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlSystemEventSetCreate, NONE);
    if (code)
        return code;
    if (!request || request->version != 0x01000010)
        return finish(request ? VERSION_MISMATCH : INVALID_ARGUMENT);
    request->set = new_set(true);
    return finish(request->set ? OK : OUT_OF_MEMORY);
}

EXPORT unsigned nvmlSystemEventSetFree(struct system_set_request *request)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlSystemEventSetFree, NONE);
    if (code)
        return code;
    if (!request || !is_set(request->set, true))
        return finish(INVALID_ARGUMENT);
    request->set->is_used = false;
    living("event_sets", -1);
    return finish(OK);
}

EXPORT unsigned nvmlSystemRegisterEvents(struct system_register_request *request)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlSystemRegisterEvents, NONE);
    if (code)
        return code;
    if (!request || !is_set(request->set, true))
        return finish(INVALID_ARGUMENT);
    if (request->version != 0x01000018)
        return finish(VERSION_MISMATCH);
    request->set->system_mask |= request->types;
    request->set->at = end_of_file();
    return finish(OK);
}

EXPORT unsigned nvmlSystemEventSetWait(struct system_wait_request *request)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlSystemEventSetWait, NONE);
    if (code)
        return code;
    if (!request || !is_set(request->set, true) || !request->rows)
        return finish(INVALID_ARGUMENT);
    if (request->version != 0x01000020)
        return finish(VERSION_MISMATCH);
    finish(OK);
    int64_t end_ms = monotonic_ms() + request->timeout_ms;
    int watch = watch_file();
    for (;;) {
        int64_t left_ms = end_ms - monotonic_ms();
        lock();
        request->count = initialized() && is_set(request->set, true)
                             ? next_system_events(request->set, request->rows, request->room)
                             : 0;
        unlock();
        if (request->count || left_ms <= 0)
            break;
        wait_for_growth(watch, left_ms < SLICE_MS ? left_ms : SLICE_MS);
    }
    if (watch >= 0)
        close(watch);
    return request->count ? OK : TIMED_OUT;
}
