/* The folder of shared test files, when the machine has it. For tests only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_DATA_FILES_H
#define TEST_DATA_FILES_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ".../data/dicom", or NULL: the test is skipped. */
static inline const char *data_folder(void)
{
    static char path[4096];
    const char *given = getenv("HILUM_SHARED_DATA");
    snprintf(path, sizeof path, "%s/dicom", given ? given : SHARED_DATA);
    struct stat st;
    return stat(path, &st) == 0 ? path : NULL;
}

/* The whole file, freed by the caller; NULL when it cannot be read. */
static inline uint8_t *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*n + 1);
    if (bytes && fread(bytes, 1, *n, f) != *n) {
        free(bytes);
        bytes = NULL;
    }
    fclose(f);
    return bytes;
}

/* Calls visit for each .dcm file below path. */
static inline void each_file(const char *path, void (*visit)(const char *path, void *arg),
                             void *arg)
{
    DIR *dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char full[8192];
        snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        size_t n = strlen(e->d_name);
        struct stat st;
        if (e->d_name[0] == '.' || stat(full, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            each_file(full, visit, arg);
        else if (n > 4 && strcmp(e->d_name + n - 4, ".dcm") == 0)
            visit(full, arg);
    }
    if (dir)
        closedir(dir);
}

#endif
