// Where the tables for unwinding the stack are. Debian's compiler is made for the GNU C library, whose
// _dl_find_object (2.35) its unwinder asks on some processors; musl has none. This answers for a
// static program, which is one object: dl_find_object(3) without the map of shared ones.
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <string.h>

// As <dlfcn.h> of the GNU C library has it where no base for data has to be told.
struct dl_find_object {
    unsigned long long flags;
    void *map_start;
    void *map_end;
    void *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

static int found(struct dl_phdr_info *info, size_t size, void *result) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            ((struct dl_find_object *)result)->eh_frame =
                (void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *result) {
    (void)address;
    memset(result, 0, sizeof *result);
    dl_iterate_phdr(found, result);
    return result->eh_frame ? 0 : -1;
}
