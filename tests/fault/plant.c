/* Preloaded into the server to plant the bugs the power-loss test must catch: HILUM_PLANT=file makes syncs of
 * files below objects/ do nothing, "directory" those of directories, "catalog" those of the catalogue.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_planted(int fd)
{
    const char *plant = getenv("HILUM_PLANT");
    char link[64], path[4096] = "";
    struct stat st;
    if (!plant || fstat(fd, &st) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    if (S_ISDIR(st.st_mode))
        return strcmp(plant, "directory") == 0;
    if (strcmp(plant, "catalog") == 0)
        return strstr(path, "catalog.db") != NULL;
    return strcmp(plant, "file") == 0 && strstr(path, "/objects/") != NULL;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return is_planted(fd) ? 0 : next(fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return is_planted(fd) ? 0 : next(fd);
}
