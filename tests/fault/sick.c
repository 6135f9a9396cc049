/* Preloaded into the server: while the link $HILUM_SICK exists, whatever changes a file fails with the error whose number is
 * the link's target (30: read-only, 5: I/O error). Reads go on. With $HILUM_SICK_UNDER only what lies below that folder is
 * sick. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int is_sick(void)
{
    const char *link = getenv("HILUM_SICK");
    char target[16] = "";
    ssize_t n = link ? readlink(link, target, sizeof target - 1) : -1;
    if (n <= 0)
        return 0;
    errno = atoi(target);
    return 1;
}

/* Is `path`, relative to the folder `fd` is, part of the medium? NULL: what `fd` is itself. */
static int is_under(int fd, const char *path)
{
    const char *under = getenv("HILUM_SICK_UNDER");
    char link[64], where[4096] = "";
    if (!under)
        return 1;
    if (path && path[0] == '/')
        return strncmp(path, under, strlen(under)) == 0;
    snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, where, sizeof where - 1);
    return n > 0 && strncmp(where, under, strlen(under)) == 0;
}

static int is_sick_at(int fd, const char *path)
{
    int before = errno, is = is_under(fd, path);
    errno = before;
    return is && is_sick();
}

/* Logs and sockets are not the medium. */
static int is_sick_file(int fd)
{
    struct stat st;
    int before = errno;
    if (fd > 2 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return is_sick_at(fd, NULL);
    errno = before;
    return 0;
}

#define WRITER(type, name, parameters, arguments)                                                  \
    EXPORT type name parameters;                                                                   \
    EXPORT type name parameters                                                                    \
    {                                                                                              \
        type(*next) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name);                      \
        return is_sick_file(fd) ? -1 : next arguments;                                             \
    }
#define CHANGER(name, at, parameters, arguments)                                                   \
    EXPORT int name parameters;                                                                    \
    EXPORT int name parameters                                                                     \
    {                                                                                              \
        int(*next) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);                        \
        return is_sick_at at ? -1 : next arguments;                                                \
    }

WRITER(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n))
WRITER(ssize_t, pwrite, (int fd, const void *bytes, size_t n, off_t at), (fd, bytes, n, at))
WRITER(ssize_t, pwrite64, (int fd, const void *bytes, size_t n, off64_t at), (fd, bytes, n, at))
WRITER(int, fsync, (int fd), (fd))
WRITER(int, fdatasync, (int fd), (fd))
WRITER(int, ftruncate, (int fd, off_t length), (fd, length))
WRITER(int, ftruncate64, (int fd, off64_t length), (fd, length))
WRITER(int, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n))
CHANGER(unlink, (AT_FDCWD, path), (const char *path), (path))
CHANGER(mkdir, (AT_FDCWD, path), (const char *path, mode_t mode), (path, mode))
CHANGER(rename, (AT_FDCWD, to), (const char *from, const char *to), (from, to))
CHANGER(renameat, (b, to), (int a, const char *from, int b, const char *to), (a, from, b, to))
CHANGER(unlinkat, (fd, path), (int fd, const char *path, int flags), (fd, path, flags))
CHANGER(mkdirat, (fd, path), (int fd, const char *path, mode_t mode), (fd, path, mode))

#define OPENER(name, at, parameters, arguments, last)                                              \
    EXPORT int name parameters;                                                                    \
    EXPORT int name parameters                                                                     \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, last);                                                                      \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                    \
        va_end(rest);                                                                              \
        int(*next) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);                        \
        return (flags & (O_ACCMODE | O_CREAT)) && is_sick_at at ? -1 : next arguments;             \
    }
OPENER(open, (AT_FDCWD, path), (const char *path, int flags, ...), (path, flags, mode), flags)
OPENER(open64, (AT_FDCWD, path), (const char *path, int flags, ...), (path, flags, mode), flags)
OPENER(openat, (fd, path), (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
       flags)
OPENER(openat64, (fd, path), (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
       flags)
