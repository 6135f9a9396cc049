/* Opening a shared object: the only file that includes ltdl.h. It knows nothing of what is inside
 * but the name of the entry.
 *
 * What it leaves behind: objects are never closed. A plugin that has been swapped out is code
 * without data; some hundred KiB a version are the price of no jump into nowhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <ltdl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/loader.h"

/* Whoever can write a folder on the way can put another file there between our look and the
 * opening. Sticky ones as /tmp protect what is in them. Only modes, not owners: whoever owns a
 * folder above is root or us on any sane system, and containers differ. */
static hilum_rc check_folders(const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash; (slash = strrchr(folder, '/'));) {
        *slash = '\0';
        if (stat(*folder ? folder : "/", &st) == 0 && (st.st_mode & S_IWOTH) &&
            !(st.st_mode & S_ISVTX))
            return hl_fail(HILUM_EDENIED,
                           "%s: mode %04o: anybody can put another file there; run chmod o-w on it",
                           *folder ? folder : "/", (unsigned)st.st_mode & 07777u);
    }
    return HILUM_OK;
}

/* Whoever can write the file runs code as us: only root and ourselves may. */
hilum_rc hl_loader_check_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hl_fail(HILUM_EINVAL, "%s: expected a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return hl_fail(HILUM_EDENIED,
                       "%s: owned by user %u; expected root or the server's user (chown it)", path,
                       (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return hl_fail(HILUM_EDENIED, "%s: mode %04o lets others write it; run chmod go-w on it",
                       path, (unsigned)st.st_mode & 07777u);
    return check_folders(path);
}

/* libltdl forgets what the system's loader said ("file not found" for a symbol nobody has), so that is asked again: it fails
 * before any code of the object runs. */
static hilum_rc why_not(const char *path)
{
    const char *why = lt_dlerror();
    void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *better = again ? NULL : dlerror();
    size_t n = strlen(path);
    if (again)
        dlclose(again);
    if (better && strncmp(better, path, n) == 0 && strncmp(better + n, ": ", 2) == 0)
        better += n + 2; /* it names the file itself */
    return hl_fail(HILUM_EINVAL, "%s: cannot be opened: %s; link what it needs with -Wl,-z,defs",
                   path, better ? better : why);
}

/* lt_dlinit counts; calling it each time is how libltdl wants it used by a library. */
static hilum_rc open_advised(const char *path, lt_dlhandle *out)
{
    lt_dladvise advise;
    *out = NULL;
    if (lt_dlinit() != 0 || lt_dladvise_init(&advise) != 0)
        return hl_fail(HILUM_EINTERNAL, "libltdl: %s", lt_dlerror());
    /* Local: plugins see nothing of each other. Resident: code is never unmapped, so a late call of
     * a drained plugin finds its instructions. */
    if (lt_dladvise_local(&advise) == 0 && lt_dladvise_resident(&advise) == 0)
        *out = lt_dlopenadvise(path, advise);
    lt_dladvise_destroy(&advise);
    return *out ? HILUM_OK : why_not(path);
}

/* libltdl keeps its lists without a lock, and a swap and a `hilum check` may come at once. */
static pthread_mutex_t ltdl = PTHREAD_MUTEX_INITIALIZER;

/* The handle is never closed: the object stays mapped for the life of the process. */
static hilum_rc open_and_find(const char *path, hl_plugin_entry *out)
{
    lt_dlhandle handle;
    hilum_rc rc = open_advised(path, &handle);
    if (rc != HILUM_OK)
        return rc;
    void *symbol = lt_dlsym(handle, "hilum_plugin_entry");
    if (!symbol)
        return hl_fail(HILUM_EINVAL, "%s: does not export hilum_plugin_entry", path);
    /* ISO C has no conversion from object to function pointer; POSIX promises the representation.
     */
    memcpy(out, &symbol, sizeof *out);
    return HILUM_OK;
}

hilum_rc hl_loader_open(const char *path, hl_plugin_entry *out)
{
    pthread_mutex_lock(&ltdl);
    hilum_rc rc = open_and_find(path, out);
    pthread_mutex_unlock(&ltdl);
    return rc;
}
