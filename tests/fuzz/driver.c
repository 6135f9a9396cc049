/* Replays a fuzz corpus and a fixed number of mutations of it without libFuzzer, so that every
 * parser is exercised under ctest with any compiler. It knows nothing of the target it drives.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* MUTATIONS of a seed, fewer of many seeds: a corpus costs seconds, whatever its size. */
enum { INPUT_MAX = 1 << 20, MUTATIONS = 2000, MUTATIONS_ALL = 20000 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void mutate_and_run(const uint8_t *seed, size_t n, uint64_t *state)
{
    uint8_t *copy = malloc(n + 1);
    if (!copy)
        return;
    memcpy(copy, seed, n);
    size_t cut = (next_random(state) % 4 == 0 && n) ? next_random(state) % n : n;
    for (uint64_t flips = next_random(state) % 8; cut && flips > 0; flips--)
        copy[next_random(state) % cut] = (uint8_t)next_random(state);
    LLVMFuzzerTestOneInput(copy, cut);
    free(copy);
}

static int run_file(const char *path, int mutations)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < mutations; i++)
        mutate_and_run(bytes, n, &state);
    return 0;
}

/* Runs each file of a directory if mutations is not negative. Files there. */
static int run_directory(const char *name, int mutations)
{
    int files = 0;
    DIR *dir = opendir(name);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", name, e->d_name);
        if (e->d_name[0] != '.' && (mutations < 0 || run_file(path, mutations) == 0))
            files++;
    }
    if (dir)
        closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0, run = 0;
    for (int i = 1; i < argc; i++)
        files += run_directory(argv[i], -1);
    int mutations = files * MUTATIONS > MUTATIONS_ALL ? MUTATIONS_ALL / files : MUTATIONS;
    for (int i = 1; i < argc; i++)
        run += run_directory(argv[i], mutations);
    printf("%d seeds, %d mutations each\n", run, mutations);
    return run > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
