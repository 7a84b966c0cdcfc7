/* What every call goes through: counting, delays, hangs, codes; and the state of the library. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake_nvml.h"

enum { TALLIES = 16384, NOTES_MAX = 16, HANG_POLL_US = 2000, SPIN_BELOW_US = 60 };

struct tally {
    int symbol, device, slot;
    int64_t thread, count;
    bool is_used;
};

struct note {
    const char *what;
    int64_t count;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct tally tallies[TALLIES];
static struct note violations[NOTES_MAX], lives[NOTES_MAX];
static struct handle handles[DEVICES_MAX][SLOTS_MAX + 1];
static int references, driver_at_init;
static int order[DEVICES_MAX];
static unsigned order_count;
static char counts_path[4096];
static int64_t counts_given;

void lock(void)
{
    pthread_mutex_lock(&mutex);
}

void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

int64_t thread_number(void)
{
    static __thread int64_t number;
    if (!number) {
        number = syscall(SYS_gettid);
        prctl(PR_SET_TIMERSLACK, 1000); /* or a delay of 60 us would take 110 */
    }
    return number;
}

static void note(struct note *notes, const char *what, int64_t change)
{
    for (int i = 0; i < NOTES_MAX; i++)
        if (!notes[i].what || strcmp(notes[i].what, what) == 0) {
            notes[i].what = what;
            notes[i].count += change;
            return;
        }
}

void violated(const char *what)
{
    note(violations, what, 1);
}

void living(const char *what, int change)
{
    note(lives, what, change);
}

static void count(const struct call *call)
{
    int64_t thread = thread_number();
    uint64_t hash = (uint64_t)call->symbol * 1009 + (uint64_t)(call->device + 1) * 31;
    hash = (hash + (uint64_t)(call->slot + 1)) * 1000003 + (uint64_t)thread;
    for (unsigned i = 0; i < TALLIES; i++) {
        struct tally *t = &tallies[(hash + i) % TALLIES];
        if (!t->is_used)
            *t = (struct tally){call->symbol, call->device, call->slot, thread, 0, true};
        if (t->symbol == (int)call->symbol && t->device == call->device && t->slot == call->slot &&
            t->thread == thread) {
            t->count++;
            return;
        }
    }
    violated("counts_full");
}

static void write_counts(FILE *out)
{
    for (int i = 0; i < TALLIES; i++)
        if (tallies[i].is_used)
            fprintf(out, "call %s %d %d %lld %lld\n", symbol_name(tallies[i].symbol),
                    tallies[i].device, tallies[i].slot, (long long)tallies[i].thread,
                    (long long)tallies[i].count);
    for (int i = 0; i < NOTES_MAX; i++) {
        if (violations[i].what)
            fprintf(out, "violation %s %lld\n", violations[i].what, (long long)violations[i].count);
        if (lives[i].what)
            fprintf(out, "live %s %lld\n", lives[i].what, (long long)lives[i].count);
    }
    fprintf(out, "live init %d\nwish %lld\n", references, (long long)counts_given);
}

/* Writes <FAKE_NVML_COUNTS>.<pid> by rename, so that a reader never sees half of it. */
static void publish_counts(void)
{
    char part[4200], whole[4200];
    if (!*counts_path)
        return;
    snprintf(whole, sizeof whole, "%s.%d", counts_path, (int)getpid());
    snprintf(part, sizeof part, "%s.%d.part", counts_path, (int)getpid());
    FILE *out = fopen(part, "w");
    if (!out)
        return;
    write_counts(out);
    fclose(out);
    rename(part, whole);
}

static bool refresh(void)
{
    bool is_right = scenario_refresh();
    if (scenario_counts_wish() != counts_given) {
        counts_given = scenario_counts_wish();
        publish_counts();
    }
    return is_right;
}

static void pause_us(double us)
{
    struct timespec from, now;
    if (us <= 0)
        return;
    if (us >= SPIN_BELOW_US) {
        struct timespec span = {(time_t)(us / 1e6), (long)(us * 1e3) % 1000000000};
        while (nanosleep(&span, &span) != 0 && errno == EINTR)
            ;
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((double)(now.tv_sec - from.tv_sec) * 1e6 + (double)(now.tv_nsec - from.tv_nsec) / 1e3 <
           us);
}

/* `hang 1` holds until the line changes; `hang /path` also until that file exists. */
static bool must_hang(const struct call *call)
{
    struct stat ignored;
    const char *text = scenario_find(call, A_HANG);
    if (!text || strcmp(text, "0") == 0)
        return false;
    return *text != '/' || stat(text, &ignored) != 0;
}

static void hang(struct call *call)
{
    if (!must_hang(call))
        return;
    living("hung", 1);
    while (must_hang(call)) {
        unlock();
        pause_us(HANG_POLL_US);
        lock();
        refresh();
        call->now_us = scenario_now_us();
    }
    living("hung", -1);
}

static double delay_of(const struct call *call)
{
    int64_t scripted;
    if (scenario_number(call, A_DELAY, &scripted))
        return (double)scripted;
    return scenario_is_realistic() ? symbol_usual_us(call->symbol) : 0;
}

/* Is a call of this symbol possible at all, before anything is scripted for it? */
static unsigned standing(const struct call *call)
{
    unsigned code;
    if (call->symbol == S_nvmlInitWithFlags || call->symbol == S_nvmlInit_v2)
        return OK;
    if (references == 0)
        return UNINITIALIZED;
    if (call->symbol == S_nvmlShutdown)
        return OK;
    if (scenario_driver(&code) != driver_at_init)
        return code;
    return scenario_fault();
}

/* Returns OK with the lock held, or a code without it. */
unsigned begin(struct call *call)
{
    int64_t scripted = OK;
    lock();
    call->now_us = 0;
    bool is_right = refresh();
    count(call);
    if (!is_right)
        return unlock(), BROKEN_SCENARIO;
    call->now_us = scenario_now_us();
    unsigned code = standing(call);
    if (code)
        return unlock(), code;
    double delay_us = delay_of(call);
    if (delay_us > 0) {
        unlock();
        pause_us(delay_us);
        lock();
        refresh();
        call->now_us = scenario_now_us();
    }
    hang(call);
    code = standing(call); /* it may have changed while we waited */
    if (!code && scenario_number(call, A_RET, &scripted))
        code = (unsigned)scripted;
    if (code)
        unlock();
    return code;
}

/* As in the real library, the handle of a destroyed instance is given out again for the next. */
struct handle *handle_of(int device, int slot)
{
    return &handles[device][slot + 1];
}

/* A handle that we gave out, of a device or instance that still exists. */
bool handle_is_known(const struct handle *handle)
{
    uintptr_t start = (uintptr_t)handles, at = (uintptr_t)handle;
    if (at < start || at >= start + sizeof handles || (at - start) % sizeof *handle != 0)
        return false;
    return scenario_has_device(handle->device) &&
           (handle->slot == NO_SLOT || scenario_has_slot(handle->device, handle->slot));
}

unsigned begin_device(struct call *call, enum symbol symbol, struct handle *device, int64_t a,
                      int64_t b)
{
    *call = (struct call){symbol, LIBRARY, NO_SLOT, {a, b}, 0};
    uintptr_t start = (uintptr_t)handles, at = (uintptr_t)device;
    bool is_ours = at >= start && at < start + sizeof handles;
    if (is_ours) {
        call->device = device->device;
        call->slot = device->slot;
    }
    unsigned code = begin(call);
    if (code)
        return code;
    if (!handle_is_known(device)) {
        if (!is_ours)
            violated("handle");
        return finish(INVALID_ARGUMENT);
    }
    return OK;
}

unsigned begin_library(struct call *call, enum symbol symbol, int64_t a)
{
    *call = (struct call){symbol, LIBRARY, NO_SLOT, {a, NONE}, 0};
    return begin(call);
}

unsigned finish(unsigned code)
{
    unlock();
    return code;
}

int initialized(void)
{
    return references;
}

/* The first init of several takes the order of devices and the driver as they are now. */
unsigned start(void)
{
    unsigned ignored;
    if (references++ == 0) {
        order_count = scenario_order(order, DEVICES_MAX);
        driver_at_init = scenario_driver(&ignored);
    }
    return OK;
}

void stop(void)
{
    references--;
}

int device_at(unsigned index)
{
    return index < order_count ? order[index] : LIBRARY;
}

unsigned device_count(void)
{
    return order_count;
}

void state_reset(void)
{
    memset(tallies, 0, sizeof tallies);
    memset(violations, 0, sizeof violations);
    memset(lives, 0, sizeof lives);
    references = 0;
    counts_given = 0;
}

/* For tests in the same process. Forgets all state; NULL keeps what the environment said. */
EXPORT void fakeNvmlConfigure(const char *scenario, const char *events, const char *counts)
{
    lock();
    state_reset();
    gpm_reset();
    events_reset();
    scenario_path(scenario);
    events_path(events);
    snprintf(counts_path, sizeof counts_path, "%s", counts ? counts : "");
    scenario_refresh();
    unlock();
}

/* Sets the frozen clock without a new scenario, for tests of very many ticks. */
EXPORT void fakeNvmlClock(long long us)
{
    lock();
    scenario_refresh();
    scenario_freeze(us);
    unlock();
}

/* Returns how many bytes the counts need, and writes as many of them as fit. */
EXPORT unsigned fakeNvmlCounts(char *out, unsigned size)
{
    char *text = NULL;
    size_t length = 0;
    lock();
    FILE *stream = open_memstream(&text, &length);
    if (stream) {
        write_counts(stream);
        fclose(stream);
    }
    unlock();
    if (text && size) {
        size_t taken = length < size - 1 ? length : size - 1;
        memcpy(out, text, taken);
        out[taken] = 0;
    }
    free(text);
    return (unsigned)length;
}

__attribute__((constructor)) static void load(void)
{
    for (int device = 0; device < DEVICES_MAX; device++)
        for (int slot = NO_SLOT; slot < SLOTS_MAX; slot++)
            *handle_of(device, slot) = (struct handle){device, slot};
    scenario_path(getenv("FAKE_NVML_SCENARIO"));
    events_path(getenv("FAKE_NVML_EVENTS"));
    const char *counts = getenv("FAKE_NVML_COUNTS");
    snprintf(counts_path, sizeof counts_path, "%s", counts ? counts : "");
    if (getenv("FAKE_NVML_SCENARIO"))
        scenario_refresh(); /* dropped symbols must be gone before the first dlsym */
}

/* Written with _exit in mind: a killed process leaves what its last wish was answered with. */
__attribute__((destructor)) static void unload(void)
{
    lock();
    publish_counts();
    unlock();
}
