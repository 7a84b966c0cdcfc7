/* Identity, memory, rates, clocks: calls whose answer is the columns of a line. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "answers.h"
#include "fake_nvml.h"

/* A device's text: name, UUID and so on. */
#define TEXT(name)                                                         \
    EXPORT unsigned name(device_t device, char *out, unsigned size)        \
    {                                                                      \
        struct call call;                                                  \
        unsigned code = begin_device(&call, S_##name, device, NONE, NONE); \
        return code ? code : words(&call, out, size);                      \
    }

/* One number of a device, and two of them. */
#define ONE(name, type)                                                    \
    EXPORT unsigned name(device_t device, type *out)                       \
    {                                                                      \
        struct call call;                                                  \
        struct region members[] = {WHOLE(out)};                            \
        unsigned code = begin_device(&call, S_##name, device, NONE, NONE); \
        return code ? code : answer(&call, members, 1, NO_REGION);         \
    }
#define TWO(name)                                                            \
    EXPORT unsigned name(device_t device, unsigned *first, unsigned *second) \
    {                                                                        \
        struct call call;                                                    \
        struct region members[] = {WHOLE(first), WHOLE(second)};             \
        unsigned code = begin_device(&call, S_##name, device, NONE, NONE);   \
        return code ? code : answer(&call, members, 2, NO_REGION);           \
    }

/* One number of a device about something: a clock, a link, a fan. */
#define ABOUT(name, type)                                                   \
    EXPORT unsigned name(device_t device, unsigned which, type *out)        \
    {                                                                       \
        struct call call;                                                   \
        struct region members[] = {WHOLE(out)};                             \
        unsigned code = begin_device(&call, S_##name, device, which, NONE); \
        return code ? code : answer(&call, members, 1, NO_REGION);          \
    }
#define ABOUT_TWO(name, type)                                                       \
    EXPORT unsigned name(device_t device, unsigned which, unsigned what, type *out) \
    {                                                                               \
        struct call call;                                                           \
        struct region members[] = {WHOLE(out)};                                     \
        unsigned code = begin_device(&call, S_##name, device, which, what);         \
        return code ? code : answer(&call, members, 1, NO_REGION);                  \
    }

TEXT(nvmlDeviceGetName)
TEXT(nvmlDeviceGetUUID)
TEXT(nvmlDeviceGetSerial)
TEXT(nvmlDeviceGetVbiosVersion)
ONE(nvmlDeviceGetMinorNumber, unsigned)
ONE(nvmlDeviceGetArchitecture, unsigned)
ONE(nvmlDeviceGetBrand, unsigned)
ONE(nvmlDeviceGetNumGpuCores, unsigned)
ONE(nvmlDeviceGetMemoryBusWidth, unsigned)
ONE(nvmlDeviceGetPersistenceMode, unsigned)
ONE(nvmlDeviceGetComputeMode, unsigned)
ONE(nvmlDeviceGetPowerUsage, unsigned)
ONE(nvmlDeviceGetPowerManagementLimit, unsigned)
ONE(nvmlDeviceGetPowerManagementDefaultLimit, unsigned)
ONE(nvmlDeviceGetEnforcedPowerLimit, unsigned)
ONE(nvmlDeviceGetCurrentClocksEventReasons, uint64_t)
ONE(nvmlDeviceGetCurrentClocksThrottleReasons, uint64_t)
ONE(nvmlDeviceGetSupportedClocksEventReasons, uint64_t)
ONE(nvmlDeviceGetSupportedClocksThrottleReasons, uint64_t)
ONE(nvmlDeviceGetPerformanceState, unsigned)
ONE(nvmlDeviceGetFanSpeed, unsigned)
ONE(nvmlDeviceGetNumFans, unsigned)
ONE(nvmlDeviceGetCurrPcieLinkGeneration, unsigned)
ONE(nvmlDeviceGetCurrPcieLinkWidth, unsigned)
ONE(nvmlDeviceGetMaxPcieLinkGeneration, unsigned)
ONE(nvmlDeviceGetMaxPcieLinkWidth, unsigned)
ONE(nvmlDeviceGetPcieReplayCounter, unsigned)
ONE(nvmlDeviceGetRetiredPagesPendingStatus, unsigned)
ONE(nvmlDeviceGetMaxMigDeviceCount, unsigned)
ONE(nvmlDeviceGetGpuInstanceId, unsigned)
ONE(nvmlDeviceGetComputeInstanceId, unsigned)
ONE(nvmlDeviceGetSupportedEventTypes, uint64_t)
ONE(nvmlGpmQueryIfStreamingEnabled, unsigned)
TWO(nvmlDeviceGetEncoderUtilization)
TWO(nvmlDeviceGetDecoderUtilization)
TWO(nvmlDeviceGetEccMode)
TWO(nvmlDeviceGetMigMode)
TWO(nvmlDeviceGetPowerManagementLimitConstraints)
TWO(nvmlDeviceGetCudaComputeCapability)
ABOUT(nvmlDeviceGetTemperature, unsigned)
ABOUT(nvmlDeviceGetTemperatureThreshold, unsigned)
ABOUT(nvmlDeviceGetClockInfo, unsigned)
ABOUT(nvmlDeviceGetMaxClockInfo, unsigned)
ABOUT(nvmlDeviceGetFanSpeed_v2, unsigned)
ABOUT(nvmlDeviceGetNvLinkState, unsigned)
ABOUT(nvmlDeviceGetNvLinkVersion, unsigned)
ABOUT(nvmlDeviceGetNvLinkRemoteDeviceType, unsigned)
ABOUT_TWO(nvmlDeviceGetNvLinkCapability, unsigned)
ABOUT_TWO(nvmlDeviceGetNvLinkErrorCounter, uint64_t)

/* --- memory and rates --- */

struct memory {
    uint64_t total, free, used;
};
_Static_assert(sizeof(struct memory) == 24, "size of the real struct");
struct memory_v2 {
    unsigned version;
    uint64_t total, reserved, free, used;
};
_Static_assert(sizeof(struct memory_v2) == 40, "size of the real struct");
enum { MEMORY_V2 = 0x02000028 };

/* One line serves both versions: total, reserved, free, used. */
static unsigned read_memory(const struct call *call, struct memory_v2 *into)
{
    struct call v2 = *call;
    const struct region members[] = {WHOLE(&into->total), WHOLE(&into->reserved),
                                     WHOLE(&into->free), WHOLE(&into->used)};
    v2.symbol = S_nvmlDeviceGetMemoryInfo_v2;
    return columns(&v2, members, LENGTH(members));
}

EXPORT unsigned nvmlDeviceGetMemoryInfo(device_t device, struct memory *out)
{
    struct call call;
    struct memory_v2 both = {0};
    unsigned code = begin_device(&call, S_nvmlDeviceGetMemoryInfo, device, NONE, NONE);
    if (code)
        return code;
    struct region whole = WHOLE(out);
    const struct region own[] = {WHOLE(&out->total), WHOLE(&out->free), WHOLE(&out->used)};
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (is_overlaid(&call))
        return finish_over(&call, OK, &whole, 1);
    if (scenario_find(&call, A_VALUE))
        return finish(columns(&call, own, LENGTH(own)));
    code = read_memory(&call, &both);
    if (code == OK) /* as before R510: the reserved part hides in `used` */
        *out = (struct memory){both.total, both.free, both.used + both.reserved};
    return finish(code);
}

EXPORT unsigned nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory_v2 *out)
{
    struct call call;
    int64_t version = out ? VERSION_OF(out->version) : NONE;
    unsigned code = begin_device(&call, S_nvmlDeviceGetMemoryInfo_v2, device, version, NONE);
    if (code)
        return code;
    struct region whole = WHOLE(out);
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (out->version != MEMORY_V2)
        return finish(VERSION_MISMATCH);
    if (is_overlaid(&call))
        return finish_over(&call, OK, &whole, 1);
    return finish(read_memory(&call, out));
}

EXPORT unsigned nvmlDeviceGetBAR1MemoryInfo(device_t device, struct memory *out)
{
    struct call call;
    const struct region members[] = {WHOLE(&out->total), WHOLE(&out->free), WHOLE(&out->used)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetBAR1MemoryInfo, device, NONE, NONE);
    if (code)
        return code;
    return out ? answer(&call, members, LENGTH(members), WHOLE(out)) : finish(INVALID_ARGUMENT);
}

struct utilization {
    unsigned gpu, memory;
};
_Static_assert(sizeof(struct utilization) == 8, "size of the real struct");

EXPORT unsigned nvmlDeviceGetUtilizationRates(device_t device, struct utilization *out)
{
    struct call call;
    const struct region members[] = {WHOLE(&out->gpu), WHOLE(&out->memory)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetUtilizationRates, device, NONE, NONE);
    if (code)
        return code;
    return out ? answer(&call, members, LENGTH(members), WHOLE(out)) : finish(INVALID_ARGUMENT);
}

/* --- versioned structs; the version number is the first argument of a key --- */

static unsigned begin_versioned(struct call *call, enum symbol symbol, device_t device,
                                const unsigned *version, unsigned wanted)
{
    unsigned code = begin_device(call, symbol, device, version ? VERSION_OF(*version) : NONE, NONE);
    if (code)
        return code;
    if (!version)
        return finish(INVALID_ARGUMENT);
    return *version == wanted ? OK : finish(VERSION_MISMATCH);
}

struct temperature {
    unsigned version, sensor;
    int celsius;
};
_Static_assert(sizeof(struct temperature) == 12, "size of the real struct");

EXPORT unsigned nvmlDeviceGetTemperatureV(device_t device, struct temperature *out)
{
    struct call call;
    unsigned code = begin_versioned(&call, S_nvmlDeviceGetTemperatureV, device,
                                    out ? &out->version : NULL, 0x0100000C);
    if (code)
        return code;
    const struct region members[] = {WHOLE(&out->celsius)};
    call.args[0] = out->sensor; /* values are kept by sensor, as those of the older call */
    return answer(&call, members, 1, WHOLE(out));
}

struct margin {
    unsigned version;
    int celsius;
};
_Static_assert(sizeof(struct margin) == 8, "size of the real struct");

EXPORT unsigned nvmlDeviceGetMarginTemperature(device_t device, struct margin *out)
{
    struct call call;
    unsigned code = begin_versioned(&call, S_nvmlDeviceGetMarginTemperature, device,
                                    out ? &out->version : NULL, 0x01000008);
    if (code)
        return code;
    const struct region members[] = {WHOLE(&out->celsius)};
    return answer(&call, members, 1, WHOLE(out));
}

struct repair {
    unsigned version, channel, tpc;
};
_Static_assert(sizeof(struct repair) == 12, "size of the real struct");

EXPORT unsigned nvmlDeviceGetRepairStatus(device_t device, struct repair *out)
{
    struct call call;
    unsigned code = begin_versioned(&call, S_nvmlDeviceGetRepairStatus, device,
                                    out ? &out->version : NULL, 0x0100000C);
    if (code)
        return code;
    const struct region members[] = {WHOLE(&out->channel), WHOLE(&out->tpc)};
    return answer(&call, members, LENGTH(members), WHOLE(out));
}

struct sram_errors {
    unsigned version;
    uint64_t counters[11];
    unsigned is_threshold_exceeded;
};
_Static_assert(sizeof(struct sram_errors) == 104, "size of the real struct");

EXPORT unsigned nvmlDeviceGetSramEccErrorStatus(device_t device, struct sram_errors *out)
{
    struct call call;
    unsigned code = begin_versioned(&call, S_nvmlDeviceGetSramEccErrorStatus, device,
                                    out ? &out->version : NULL, 0x01000068);
    if (code)
        return code;
    struct region members[12];
    for (int i = 0; i < 11; i++)
        members[i] = WHOLE(&out->counters[i]);
    members[11] = WHOLE(&out->is_threshold_exceeded);
    return answer(&call, members, LENGTH(members), WHOLE(out));
}

struct gpm_support {
    unsigned version, is_supported;
};
_Static_assert(sizeof(struct gpm_support) == 8, "size of the real struct");

EXPORT unsigned nvmlGpmQueryDeviceSupport(device_t device, struct gpm_support *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlGpmQueryDeviceSupport, device, NONE, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (out->version != 1)
        return finish(VERSION_MISMATCH);
    const struct region members[] = {WHOLE(&out->is_supported)};
    return answer(&call, members, 1, WHOLE(out));
}

/* --- calls that the exporter must never make: they block, or need root --- */

EXPORT unsigned nvmlDeviceGetPcieThroughput(device_t device, unsigned counter, unsigned *out)
{
    struct call call;
    const struct region members[] = {WHOLE(out)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetPcieThroughput, device, counter, NONE);
    if (code)
        return code;
    violated("forbidden");
    return answer(&call, members, 1, NO_REGION);
}

EXPORT unsigned nvmlDeviceGetGpuInstances(device_t device, unsigned profile, void *out,
                                          unsigned *count)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetGpuInstances, device, profile, NONE);
    (void)out;
    (void)count;
    if (code)
        return code;
    violated("forbidden");
    return finish(4);
}
