/* rlimits, capabilities, Landlock, seccomp, in this order: each needs what the next one takes away.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/worker/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/worker/filter.h"
#include "core/worker/wire.h"

enum { MAX_FILES = 64, MAX_WRITTEN = 64 * 1024 };

/* ---- limits and privileges ---- */

/* Soft and hard alike: what is given up cannot be raised again. */
static bool limit(int what, rlim_t value)
{
    const struct rlimit both = {value, value};
    return setrlimit((__rlimit_resource_t)what, &both) == 0;
}

/* MAX_WRITTEN bounds what may be written to standard error, which is a file in memory. */
static hilum_rc set_limits(const struct hl_jail *jail, uint32_t *in_force)
{
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, MAX_FILES) ||
        !limit(RLIMIT_FSIZE, MAX_WRITTEN))
        return hl_fail(HILUM_EINTERNAL, "setrlimit: %s", strerror(errno));
    if (!jail->memory || HL_IS_SANITIZED) /* whose shadow alone takes terabytes */
        return HILUM_OK;
    if (!limit(RLIMIT_AS, (rlim_t)jail->memory))
        return hl_fail(HILUM_EINTERNAL, "setrlimit: address space of %llu bytes: %s",
                       (unsigned long long)jail->memory, strerror(errno));
    *in_force |= HL_JAIL_MEMORY;
    return HILUM_OK;
}

/* Root keeps its number but none of its powers, and nothing it could run would give them back. */
static hilum_rc drop_privileges(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return hl_fail(HILUM_EUNSUP, "this kernel has no no_new_privs: %s", strerror(errno));
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        return hl_fail(HILUM_EINTERNAL, "capset: %s", strerror(errno));
    return HILUM_OK;
}

/* ---- Landlock: no file but what is granted here ---- */

/* What this kernel's Landlock can forbid; headers of Debian 12 know versions 1 and 2. */
static uint64_t handled(int abi)
{
    uint64_t rights = (1ull << 13) - 1;
    if (abi >= 2)
        rights |= 1ull << 13; /* moving a file to another folder */
    if (abi >= 3)
        rights |= 1ull << 14; /* truncating */
    if (abi >= 5)
        rights |= 1ull << 15; /* ioctl on devices */
    return rights;
}

/* Below `path`: read and map. `must_be` false: a folder some systems do not have. */
static hilum_rc allow(int rules, const char *path, bool must_be)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
                                                                LANDLOCK_ACCESS_FS_EXECUTE};
    struct stat st;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return must_be ? hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno))
                       : HILUM_OK;
    if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    long rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int error = errno;
    close(rule.parent_fd);
    return rc == 0 ? HILUM_OK : hl_fail(HILUM_EINTERNAL, "landlock: %s: %s", path, strerror(error));
}

static hilum_rc allow_all(int rules, const struct hl_jail *jail)
{
    /* What a library needs to be found and mapped. No program can be run from there: seccomp knows no exec. */
    static const char *const libraries[] = {
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", NULL};
    hilum_rc rc = allow(rules, jail->file, true);
    for (const char *const *path = libraries; rc == HILUM_OK && *path; path++)
        rc = allow(rules, *path, false);
    for (const char *const *path = jail->grant; rc == HILUM_OK && path && *path; path++)
        rc = allow(rules, *path, true);
    if (rc == HILUM_OK && HL_IS_SANITIZED)
        rc = allow(rules, "/proc/self", false); /* its runtime looks at its own maps */
    return rc;
}

/* A kernel without Landlock is no failure here; hl_jail_enter decides what it means. */
static hilum_rc enter_landlock(const struct hl_jail *jail, uint32_t *in_force)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return HILUM_OK;
    const struct landlock_ruleset_attr attr = {.handled_access_fs = handled((int)abi)};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return hl_fail(HILUM_EINTERNAL, "landlock: %s", strerror(errno));
    hilum_rc rc = allow_all(rules, jail);
    if (rc == HILUM_OK && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        rc = hl_fail(HILUM_EINTERNAL, "landlock: %s", strerror(errno));
    close(rules);
    if (rc == HILUM_OK)
        *in_force |= HL_JAIL_LANDLOCK;
    return rc;
}

/* From here on nothing can be undone. A failure ends the worker: half a jail is none. */
hilum_rc hl_jail_enter(const struct hl_jail *jail, uint32_t *in_force)
{
    *in_force = 0;
    hilum_rc rc = set_limits(jail, in_force);
    if (rc == HILUM_OK)
        rc = drop_privileges();
    if (rc == HILUM_OK)
        rc = enter_landlock(jail, in_force);
    if (rc == HILUM_OK && !(*in_force & HL_JAIL_LANDLOCK) && !jail->may_be_weak)
        return hl_fail(HILUM_EUNSUP,
                       "this kernel has no Landlock, so a worker would see every file "
                       "of the server; boot with lsm=landlock,..., or write "
                       "isolation = \"process-weak\" if you accept that");
    if (rc == HILUM_OK)
        rc = hl_filter_enter(in_force);
    if (rc == HILUM_OK && !(*in_force & HL_JAIL_SECCOMP) && !jail->may_be_weak)
        return hl_fail(HILUM_EUNSUP, "this kernel has no seccomp filter, so a worker could start "
                                     "programs and open sockets; write isolation = "
                                     "\"process-weak\" if you accept that");
    return rc;
}
