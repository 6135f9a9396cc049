/* What a shared object says of itself before it is opened: does it bind at once, what does it
 * export. It reads ELF by hand, every offset checked, and knows nothing of plugins.
 *
 * Why before opening: constructors run at dlopen, a lazily bound object fails at its first
 * call in the middle of the server, and a plugin that exports `log` or `free` would catch
 * others' calls. Each message says the flag of the compiler that mends it. The same code reads
 * hostile bytes in a fuzzer (hl_elf_check_bytes).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/host.h"

#define NATIVE_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

struct elf {
    const char *path;
    const unsigned char *bytes;
    size_t size;
};

struct exports {
    bool has_entry, has_unique;
    unsigned n_others;
    char others[160]; /* the first few names */
};

/* n elements of `size` at `offset`, or NULL if the file does not hold them or they are not
 * aligned. Overflow is avoided by dividing: sizes of the file are not to be believed. */
static const void *table_at(const struct elf *elf, uint64_t offset, uint64_t n, size_t size)
{
    if (offset > elf->size || n > (elf->size - offset) / size || offset % sizeof(ElfW(Addr)) != 0)
        return NULL;
    return elf->bytes + offset;
}

/* A name that is not ended within its table is refused, not cut: everything after it is guesswork. */
static const char *string_at(const struct elf *elf, const ElfW(Shdr) * strings, uint64_t at)
{
    if (strings->sh_offset > elf->size || strings->sh_size > elf->size - strings->sh_offset ||
        at >= strings->sh_size)
        return NULL;
    const char *name = (const char *)elf->bytes + strings->sh_offset + at;
    return memchr(name, '\0', strings->sh_size - at) ? name : NULL;
}

/* Shared objects and position-independent programs are both ET_DYN; the entry tells them apart. */
static hilum_rc check_header(const struct elf *elf)
{
    const ElfW(Ehdr) *header = table_at(elf, 0, 1, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return hl_fail(HILUM_EINVAL, "%s: not a shared object (no ELF header)", elf->path);
    if (header->e_ident[EI_CLASS] != NATIVE_CLASS || header->e_type != ET_DYN)
        return hl_fail(HILUM_EINVAL, "%s: not a shared object of this machine's word size",
                       elf->path);
    return HILUM_OK;
}

/* Three generations of linkers say the same thing in three ways. */
static bool is_bind_now(const ElfW(Dyn) * entry)
{
    switch (entry->d_tag) {
    case DT_BIND_NOW: return true;
    case DT_FLAGS: return entry->d_un.d_val & DF_BIND_NOW;
    case DT_FLAGS_1: return entry->d_un.d_val & DF_1_NOW;
    default: return false;
    }
}

/* By program headers: what the loader itself goes by. */
static bool binds_at_once(const struct elf *elf)
{
    const ElfW(Ehdr) *header = table_at(elf, 0, 1, sizeof *header);
    const ElfW(Phdr) *parts = table_at(elf, header->e_phoff, header->e_phnum, sizeof *parts);
    for (unsigned i = 0; parts && i < header->e_phnum; i++) {
        if (parts[i].p_type != PT_DYNAMIC)
            continue;
        uint64_t n = parts[i].p_filesz / sizeof(ElfW(Dyn));
        const ElfW(Dyn) *dynamic = table_at(elf, parts[i].p_offset, n, sizeof *dynamic);
        for (uint64_t k = 0; dynamic && k < n && dynamic[k].d_tag != DT_NULL; k++)
            if (is_bind_now(&dynamic[k]))
                return true;
    }
    return false;
}

/* Defined, and visible to others: what -fvisibility=hidden would have kept in. */
static bool is_exported(const ElfW(Sym) * symbol)
{
    unsigned bind = ELF64_ST_BIND(symbol->st_info); /* the same macro for both classes */
    unsigned visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    return symbol->st_shndx != SHN_UNDEF && bind != STB_LOCAL &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

/* The first few names are kept for the message. */
static void note_export(struct exports *exports, const char *name)
{
    if (strcmp(name, "hilum_plugin_entry") == 0) {
        exports->has_entry = true;
        return;
    }
    if (name[0] == '_') /* reserved for the implementation: linker, sanitizers, mangled C++ */
        return;
    size_t used = strlen(exports->others);
    if (exports->n_others++ < 3)
        snprintf(exports->others + used, sizeof exports->others - used, "%s%s", used ? ", " : "",
                 name);
}

static bool read_symbols(const struct elf *elf, const ElfW(Shdr) * sections, unsigned n,
                         const ElfW(Shdr) * table, struct exports *exports)
{
    uint64_t count = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbols = table_at(elf, table->sh_offset, count, sizeof *symbols);
    if (!symbols || table->sh_link >= n)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        const char *name = string_at(elf, &sections[table->sh_link], symbols[i].st_name);
        if (!name)
            return false;
        if (is_exported(&symbols[i]))
            note_export(exports, name);
        exports->has_unique |=
            ELF64_ST_BIND(symbols[i].st_info) == STB_GNU_UNIQUE && symbols[i].st_shndx != SHN_UNDEF;
    }
    return true;
}

/* By section headers, not by the hash tables of the dynamic segment: strip keeps .dynsym, and its size is
 * stated there and nowhere else. */
static hilum_rc read_exports(const struct elf *elf, struct exports *exports)
{
    const ElfW(Ehdr) *header = table_at(elf, 0, 1, sizeof *header);
    const ElfW(Shdr) *sections = table_at(elf, header->e_shoff, header->e_shnum, sizeof *sections);
    for (unsigned i = 0; sections && i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_DYNSYM)
            continue;
        if (!read_symbols(elf, sections, header->e_shnum, &sections[i], exports))
            break;
        return HILUM_OK;
    }
    return hl_fail(HILUM_EINVAL, "%s: its dynamic symbol table cannot be read", elf->path);
}

/* One entry and nothing else: two plugins with a symbol of the same name would else meet each
 * other. */
static hilum_rc check_exports(const struct elf *elf)
{
    struct exports exports = {0};
    hilum_rc rc = read_exports(elf, &exports);
    if (rc != HILUM_OK)
        return rc;
    if (!exports.has_entry)
        return hl_fail(HILUM_EINVAL, "%s: does not export hilum_plugin_entry", elf->path);
    if (exports.n_others)
        return hl_fail(HILUM_EINVAL,
                       "%s: exports %u symbols beside hilum_plugin_entry (%s); build it with "
                       "-fvisibility=hidden",
                       elf->path, exports.n_others, exports.others);
    /* Two versions loaded side by side would share these variables, whatever their visibility. */
    if (exports.has_unique)
        return hl_fail(HILUM_EINVAL, "%s: has unique symbols; build it with -fno-gnu-unique",
                       elf->path);
    return HILUM_OK;
}

hilum_rc hl_elf_check_bytes(const char *path, const void *bytes, size_t size)
{
    const struct elf view = {.path = path, .bytes = bytes, .size = size}, *elf = &view;
    hilum_rc rc = check_header(elf);
    if (rc != HILUM_OK)
        return rc;
    /* Bound lazily, a missing symbol would end the server at the first call instead of here. */
    if (!binds_at_once(elf))
        return hl_fail(HILUM_EINVAL, "%s: binds lazily; link it with -Wl,-z,now", elf->path);
    return check_exports(elf);
}

/* Between this look and dlopen the file could be replaced, but only by root or by us (hl_loader_check_file). */
hilum_rc hl_elf_check(const char *path)
{
    struct stat st;
    hilum_rc rc = HILUM_EINVAL;
    void *bytes = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        goto out;
    }
    if (st.st_size < (off_t)sizeof(ElfW(Ehdr))) {
        rc = hl_fail(HILUM_EINVAL, "%s: not a shared object (no ELF header)", path);
        goto out;
    }
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        rc = hl_fail(hl_rc_from_errno(errno), "%s: mmap: %s", path, strerror(errno));
        goto out;
    }
    rc = hl_elf_check_bytes(path, bytes, (size_t)st.st_size);
out:
    if (bytes != MAP_FAILED)
        munmap(bytes, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    return rc;
}
