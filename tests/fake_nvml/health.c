/* Fabric, remapped rows, violations, and MIG: what is looked at now and then. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "answers.h"
#include "fake_nvml.h"

/* --- fabric: `<32 hex digits> <status> <clique> <state> <health mask> <summary>` --- */

struct fabric {
    unsigned char cluster[16];
    unsigned status, clique, state, health_mask, summary;
};
struct fabric_v1 {
    unsigned char cluster[16];
    unsigned status, clique, state;
};
_Static_assert(sizeof(struct fabric_v1) == 28, "size of the real struct");
struct fabric_v2 {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique, state, health_mask;
};
_Static_assert(sizeof(struct fabric_v2) == 36, "size of the real struct");
struct fabric_v3 {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique, state, health_mask;
    unsigned char summary;
};
_Static_assert(sizeof(struct fabric_v3) == 40, "size of the real struct");
enum { FABRIC_V2 = 0x02000024, FABRIC_V3 = 0x03000028 };

static unsigned read_fabric(const struct call *call, struct fabric *into)
{
    const char *text = scenario_find(call, A_VALUE);
    *into = (struct fabric){0};
    if (!text)
        return NOT_SUPPORTED;
    for (int i = 0; i < 16; i++)
        if (sscanf(text + 2 * i, "%2hhx", &into->cluster[i]) != 1)
            return BROKEN_SCENARIO;
    int got = sscanf(text + 32, "%u %u %u %u %u", &into->status, &into->clique, &into->state,
                     &into->health_mask, &into->summary);
    return got >= 3 ? OK : BROKEN_SCENARIO;
}

EXPORT unsigned nvmlDeviceGetGpuFabricInfo(device_t device, struct fabric_v1 *out)
{
    struct call call;
    struct fabric all;
    unsigned code = begin_device(&call, S_nvmlDeviceGetGpuFabricInfo, device, NONE, NONE);
    if (code)
        return code;
    struct region whole = WHOLE(out);
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (is_overlaid(&call))
        return finish_over(&call, OK, &whole, 1);
    code = read_fabric(&call, &all);
    if (code == OK) {
        memcpy(out->cluster, all.cluster, sizeof all.cluster);
        out->status = all.status;
        out->clique = all.clique;
        out->state = all.state;
    }
    return finish(code);
}

EXPORT unsigned nvmlDeviceGetGpuFabricInfoV(device_t device, struct fabric_v3 *out)
{
    struct call call;
    struct fabric all;
    unsigned version = out ? out->version : 0;
    unsigned code =
        begin_device(&call, S_nvmlDeviceGetGpuFabricInfoV, device, VERSION_OF(version), NONE);
    if (code)
        return code;
    struct region whole = {out, version & 0xFFFFFF};
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (version != FABRIC_V2 && version != FABRIC_V3)
        return finish(VERSION_MISMATCH);
    if (is_overlaid(&call))
        return finish_over(&call, OK, &whole, 1);
    code = read_fabric(&call, &all);
    if (code == OK) {
        memcpy(out->cluster, all.cluster, sizeof all.cluster);
        out->status = all.status;
        out->clique = all.clique;
        out->state = all.state;
        out->health_mask = all.health_mask;
        if (version == FABRIC_V3)
            out->summary = (unsigned char)all.summary;
    }
    return finish(code);
}

/* --- health --- */

EXPORT unsigned nvmlDeviceGetRemappedRows(device_t device, unsigned *correctable,
                                          unsigned *uncorrectable, unsigned *pending,
                                          unsigned *failed)
{
    struct call call;
    const struct region members[] = {WHOLE(correctable), WHOLE(uncorrectable), WHOLE(pending),
                                     WHOLE(failed)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetRemappedRows, device, NONE, NONE);
    return code ? code : answer(&call, members, LENGTH(members), NO_REGION);
}

struct histogram {
    unsigned max, high, partial, low, none;
};
_Static_assert(sizeof(struct histogram) == 20, "size of the real struct");

EXPORT unsigned nvmlDeviceGetRowRemapperHistogram(device_t device, struct histogram *out)
{
    struct call call;
    const struct region members[] = {WHOLE(&out->max), WHOLE(&out->high), WHOLE(&out->partial),
                                     WHOLE(&out->low), WHOLE(&out->none)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetRowRemapperHistogram, device, NONE, NONE);
    if (code)
        return code;
    return out ? answer(&call, members, LENGTH(members), WHOLE(out)) : finish(INVALID_ARGUMENT);
}

struct violation {
    uint64_t reference_us, violation_us;
};
_Static_assert(sizeof(struct violation) == 16, "size of the real struct");

EXPORT unsigned nvmlDeviceGetViolationStatus(device_t device, unsigned policy,
                                             struct violation *out)
{
    struct call call;
    const struct region members[] = {WHOLE(&out->violation_us)};
    unsigned code = begin_device(&call, S_nvmlDeviceGetViolationStatus, device, policy, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    out->reference_us = (uint64_t)call.now_us;
    return answer(&call, members, 1, WHOLE(out));
}

/* --- MIG --- */

EXPORT unsigned nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetMigDeviceHandleByIndex, device, index, NONE);
    if (code)
        return code;
    if (!out || index >= SLOTS_MAX || device->slot != NO_SLOT)
        return finish(INVALID_ARGUMENT);
    if (!scenario_text(S_nvmlDeviceGetMigMode, device->device, NO_SLOT))
        return finish(NOT_SUPPORTED);
    if (!scenario_has_slot(device->device, (int)index))
        return finish(NOT_FOUND);
    *out = handle_of(device->device, (int)index);
    return finish(OK);
}

EXPORT unsigned nvmlDeviceIsMigDeviceHandle(device_t device, unsigned *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceIsMigDeviceHandle, device, NONE, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    *out = device->slot != NO_SLOT;
    return finish(OK);
}

EXPORT unsigned nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t device, device_t *out)
{
    struct call call;
    unsigned code =
        begin_device(&call, S_nvmlDeviceGetDeviceHandleFromMigDeviceHandle, device, NONE, NONE);
    if (code)
        return code;
    if (!out || device->slot == NO_SLOT)
        return finish(INVALID_ARGUMENT);
    *out = handle_of(device->device, NO_SLOT);
    return finish(OK);
}

struct attributes {
    unsigned counts[8];
    uint64_t memory_mib;
};
_Static_assert(sizeof(struct attributes) == 40, "size of the real struct");

EXPORT unsigned nvmlDeviceGetAttributes_v2(device_t device, struct attributes *out)
{
    struct call call;
    struct region members[9];
    unsigned code = begin_device(&call, S_nvmlDeviceGetAttributes_v2, device, NONE, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    for (int i = 0; i < 8; i++)
        members[i] = WHOLE(&out->counts[i]);
    members[8] = WHOLE(&out->memory_mib);
    return answer(&call, members, LENGTH(members), WHOLE(out));
}
