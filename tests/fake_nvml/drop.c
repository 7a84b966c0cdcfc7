/* Hides symbols from dlsym, so that one build stands for every driver.
 *
 * An old driver lacks symbols. dlsym passes over a symbol whose value is zero, so the dynamic
 * symbol table of this very library is changed in memory, and changed back when the scenario says
 * so.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_nvml.h"

static ElfW(Sym) * symbols;
static const char *names;
static size_t symbol_count;
static ElfW(Addr) * values; /* what the table said at first */

static bool find_table(void)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1((void *)find_table, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return false;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            symbols = (ElfW(Sym) *)d->d_un.d_ptr;
        else if (d->d_tag == DT_STRTAB)
            names = (const char *)d->d_un.d_ptr;
        else if (d->d_tag == DT_HASH) /* linked with --hash-style=sysv for this number */
            symbol_count = ((const ElfW(Word) *)d->d_un.d_ptr)[1];
    }
    if (!symbols || !names || !symbol_count)
        return false;
    values = calloc(symbol_count, sizeof *values);
    for (size_t i = 0; values && i < symbol_count; i++)
        values[i] = symbols[i].st_value;
    return values != NULL;
}

static bool set_writable(bool is_writable)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)symbols & ~(page - 1);
    uintptr_t end = (uintptr_t)(symbols + symbol_count);
    return mprotect((void *)start, end - start, PROT_READ | (is_writable ? PROT_WRITE : 0)) == 0;
}

void drop_apply(void)
{
    if ((!values && !find_table()) || !set_writable(true))
        abort(); /* a symbol that is there although dropped would make a test lie */
    for (size_t i = 0; i < symbol_count; i++)
        symbols[i].st_value = scenario_is_dropped(names + symbols[i].st_name) ? 0 : values[i];
    set_writable(false);
}
