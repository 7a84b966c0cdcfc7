/* What the parts of the fake driver share. Every declaration is our own; no vendor header is
 * copied.
 *
 * A call runs like this: begin() counts it, obeys the scripted faults and returns with the one lock
 * held; the body reads the scenario and fills the caller's memory; finish() lets the lock go. The
 * lock is never held while a call is delayed or hangs.
 */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols.h"

#define EXPORT __attribute__((visibility("default")))

enum { DEVICES_MAX = 64, SLOTS_MAX = 16, METRICS_MAX = 512 };

/* The library's return codes that the fake gives of its own accord. */
enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    TIMED_OUT = 10,
    OUT_OF_MEMORY = 20,
    VERSION_MISMATCH = 25,
    BROKEN_SCENARIO = 888, /* no code of the real library: a line of the scenario is wrong */
    UNKNOWN = 999,
};

enum attribute {
    A_RET,
    A_DELAY,
    A_HANG,
    A_VALUE,
    A_RAMP,
    A_HEX,
    A_GARBAGE,
    A_ROWS,
    A_TYPE,
    A_PERIOD,
    A_COUNT,
};

#define NONE INT64_MIN /* an argument that a key or a call does not have */
enum { LIBRARY = -1, NO_SLOT = -1, ANY = -2 };

/* What a device handle of ours points at; `slot` is NO_SLOT for a whole GPU. */
struct handle {
    int device;
    int slot;
};

struct call {
    enum symbol symbol;
    int device; /* number in the scenario, or LIBRARY */
    int slot;   /* MIG slot, or NO_SLOT */
    int64_t args[2];
    int64_t now_us; /* of the fake clock */
};

struct region {
    void *start;
    size_t size;
};

/* script.c reads the file; scenario.c is its clock and what it says about a call. Under lock(). */
void scenario_path(const char *path);
bool scenario_refresh(void); /* reads the file again if it changed; false while a line is wrong */
int64_t scenario_now_us(void);
void scenario_freeze(int64_t us);
const char *scenario_find(const struct call *call, enum attribute attribute);
const char *scenario_text(enum symbol symbol, int device, int slot);
bool scenario_number(const struct call *call, enum attribute attribute, int64_t *number);
bool scenario_has_device(int device);
bool scenario_has_slot(int device, int slot);
unsigned scenario_order(int *devices, unsigned max);
int scenario_driver(unsigned *code);
unsigned scenario_fault(void);
unsigned scenario_stride(void);
bool scenario_is_realistic(void);
int64_t scenario_counts_wish(void);
bool scenario_is_dropped(const char *name);
/* The integral or counter at the moment of the call: value + ramp * (now - since). */
bool scenario_counter(const struct call *call, double *number);
const char *symbol_name(enum symbol symbol);
double symbol_usual_us(enum symbol symbol);

/* drop.c: hides symbols from dlsym, as an old driver lacks them. */
void drop_apply(void);

/* calls.c: counting, faults, handles, state; answers.c: the usual answers. */
void lock(void);
void unlock(void);
unsigned begin(struct call *call); /* OK: the lock is held until finish() */
unsigned begin_device(struct call *call, enum symbol symbol, struct handle *device, int64_t a,
                      int64_t b);
unsigned begin_library(struct call *call, enum symbol symbol, int64_t a);
unsigned finish(unsigned code);
unsigned finish_over(const struct call *call, unsigned code, const struct region *regions,
                     unsigned count);
bool is_overlaid(const struct call *call);
unsigned columns(const struct call *call, const struct region *members, unsigned count);
unsigned answer(struct call *call, const struct region *members, unsigned count,
                struct region whole);
unsigned words(struct call *call, char *out, unsigned size);
struct handle *handle_of(int device, int slot);
bool handle_is_known(const struct handle *device);
int initialized(void);
unsigned start(void);
void stop(void);
int device_at(unsigned index);
unsigned device_count(void);
void violated(const char *what);
void living(const char *what, int change);
int64_t thread_number(void);
void state_reset(void);

/* gpm.c and events.c: forget what an earlier test left behind. */
void gpm_reset(void);
void events_path(const char *path);
void events_reset(void);

#endif
