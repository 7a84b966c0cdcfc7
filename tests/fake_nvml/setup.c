/* Set-up and finding: init, what the system says of itself, from index, UUID or bus to a handle. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "answers.h"
#include "fake_nvml.h"

EXPORT unsigned nvmlInitWithFlags(unsigned flags)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlInitWithFlags, flags);
    return code ? code : finish(start());
}

EXPORT unsigned nvmlInit_v2(void)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlInit_v2, NONE);
    return code ? code : finish(start());
}

EXPORT unsigned nvmlShutdown(void)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlShutdown, NONE);
    if (code)
        return code;
    stop();
    return finish(OK);
}

/* The only call that answers in every state, and the only one that returns no code. */
EXPORT const char *nvmlErrorString(unsigned code)
{
    static const struct {
        unsigned code;
        const char *text;
    } TEXTS[] = {
        {OK, "The operation was successful"},
        {UNINITIALIZED, "Uninitialized"},
        {INVALID_ARGUMENT, "Invalid Argument"},
        {NOT_SUPPORTED, "Not Supported"},
        {4, "Insufficient Permissions"},
        {NOT_FOUND, "Not Found"},
        {INSUFFICIENT_SIZE, "Insufficient Size"},
        {9, "Driver Not Loaded"},
        {TIMED_OUT, "Timeout"},
        {15, "GPU is lost"},
        {16, "GPU requires reset"},
        {18, "Driver/library version mismatch"},
        {VERSION_MISMATCH, "Argument version mismatch"},
        {BROKEN_SCENARIO, "the scenario of the fake driver is wrong, see stderr"},
    };
    for (size_t i = 0; i < LENGTH(TEXTS); i++)
        if (TEXTS[i].code == code)
            return TEXTS[i].text;
    return "Unknown Error";
}

#define SYSTEM_TEXT(name)                                     \
    EXPORT unsigned name(char *out, unsigned size)            \
    {                                                         \
        struct call call;                                     \
        unsigned code = begin_library(&call, S_##name, NONE); \
        return code ? code : words(&call, out, size);         \
    }
#define SYSTEM_NUMBER(name)                                        \
    EXPORT unsigned name(int *out)                                 \
    {                                                              \
        struct call call;                                          \
        struct region members[] = {WHOLE(out)};                    \
        unsigned code = begin_library(&call, S_##name, NONE);      \
        return code ? code : answer(&call, members, 1, NO_REGION); \
    }
SYSTEM_TEXT(nvmlSystemGetDriverVersion)
SYSTEM_TEXT(nvmlSystemGetNVMLVersion)
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion)
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion_v2)

EXPORT unsigned nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlSystemGetProcessName, pid);
    return code ? code : words(&call, out, size);
}

/* --- finding devices --- */

EXPORT unsigned nvmlDeviceGetCount_v2(unsigned *out)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlDeviceGetCount_v2, NONE);
    if (code)
        return code;
    if (!out)
        return finish(INVALID_ARGUMENT);
    *out = device_count();
    return finish(OK);
}

EXPORT unsigned nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *out)
{
    struct call call = {S_nvmlDeviceGetHandleByIndex_v2, LIBRARY, NO_SLOT, {index, NONE}, 0};
    lock();
    call.device = device_at(index);
    unlock();
    unsigned code = begin(&call);
    if (code)
        return code;
    if (!out || call.device == LIBRARY || !scenario_has_device(call.device))
        return finish(INVALID_ARGUMENT);
    *out = handle_of(call.device, NO_SLOT);
    return finish(OK);
}

static struct handle *by_uuid(const char *uuid)
{
    for (unsigned i = 0; i < device_count(); i++)
        for (int slot = NO_SLOT; slot < SLOTS_MAX; slot++) {
            const char *text = slot == NO_SLOT || scenario_has_slot(device_at(i), slot)
                                   ? scenario_text(S_nvmlDeviceGetUUID, device_at(i), slot)
                                   : NULL;
            if (text && strcmp(text, uuid) == 0)
                return handle_of(device_at(i), slot);
        }
    return NULL;
}

struct pci {
    unsigned domain, bus, device, function, device_id, subsystem_id;
};

/* `<domain>:<bus>:<device>.<function> <device id> <subsystem id>`, all hexadecimal. */
static bool read_pci(const char *text, struct pci *pci)
{
    *pci = (struct pci){0};
    int got = sscanf(text, "%x:%x:%x.%x %x %x", &pci->domain, &pci->bus, &pci->device,
                     &pci->function, &pci->device_id, &pci->subsystem_id);
    return got >= 4;
}

static struct handle *by_pci(const char *bus_id)
{
    struct pci wanted, have;
    if (!read_pci(bus_id, &wanted))
        return NULL;
    for (unsigned i = 0; i < device_count(); i++) {
        const char *text = scenario_text(S_nvmlDeviceGetPciInfo_v3, device_at(i), NO_SLOT);
        if (text && read_pci(text, &have) && have.domain == wanted.domain &&
            have.bus == wanted.bus && have.device == wanted.device)
            return handle_of(device_at(i), NO_SLOT);
    }
    return NULL;
}

/* A scripted fault of the device that is looked for holds for the search, too. */
static unsigned found(struct call *call, struct handle *handle, device_t *out)
{
    int64_t scripted = OK;
    if (!handle)
        return finish(NOT_FOUND);
    call->device = handle->device;
    if (scenario_number(call, A_RET, &scripted) && scripted != OK)
        return finish((unsigned)scripted);
    *out = handle;
    return finish(OK);
}

EXPORT unsigned nvmlDeviceGetHandleByUUID(const char *uuid, device_t *out)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlDeviceGetHandleByUUID, NONE);
    if (code)
        return code;
    return uuid && out ? found(&call, by_uuid(uuid), out) : finish(INVALID_ARGUMENT);
}

EXPORT unsigned nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device_t *out)
{
    struct call call;
    unsigned code = begin_library(&call, S_nvmlDeviceGetHandleByPciBusId_v2, NONE);
    if (code)
        return code;
    return bus_id && out ? found(&call, by_pci(bus_id), out) : finish(INVALID_ARGUMENT);
}

EXPORT unsigned nvmlDeviceGetIndex(device_t device, unsigned *out)
{
    struct call call;
    unsigned code = begin_device(&call, S_nvmlDeviceGetIndex, device, NONE, NONE);
    if (code)
        return code;
    for (unsigned i = 0; out && i < device_count(); i++)
        if (device_at(i) == device->device)
            return *out = i, finish(OK);
    return finish(INVALID_ARGUMENT);
}

struct pci_info {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
_Static_assert(sizeof(struct pci_info) == 68, "size of the real struct");

EXPORT unsigned nvmlDeviceGetPciInfo_v3(device_t device, struct pci_info *out)
{
    struct call call;
    struct pci pci;
    unsigned code = begin_device(&call, S_nvmlDeviceGetPciInfo_v3, device, NONE, NONE);
    if (code)
        return code;
    struct region whole = WHOLE(out);
    const char *text = scenario_find(&call, A_VALUE);
    if (!out)
        return finish(INVALID_ARGUMENT);
    if (is_overlaid(&call))
        return finish_over(&call, OK, &whole, 1);
    if (!text || !read_pci(text, &pci))
        return finish(NOT_SUPPORTED);
    memset(out, 0, sizeof *out);
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.%X", pci.domain, pci.bus & 255,
             pci.device & 255, pci.function & 15);
    snprintf(out->bus_id_legacy, sizeof out->bus_id_legacy, "%04X:%02X:%02X.%X",
             pci.domain & 0xFFFF, pci.bus & 255, pci.device & 255, pci.function & 15);
    out->domain = pci.domain;
    out->bus = pci.bus;
    out->device = pci.device;
    out->device_id = pci.device_id;
    out->subsystem_id = pci.subsystem_id;
    return finish(OK);
}
