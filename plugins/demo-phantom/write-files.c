/* demo-phantom-files DIR: writes the demo objects as files, for tests and for people without a
 * server. Knows nothing of the host. SPDX-License-Identifier: Apache-2.0 */
#include "phantom.h"

#include <stdio.h>

/* A file half written is an error of the whole run. */
static int write_one(const char *dir, const struct picture *picture, int index, struct file *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%s-%03d.dcm", dir, picture->accession,
             picture->series_number, index + 1);
    picture_write(picture, index, file);
    FILE *out = file->failed ? NULL : fopen(path, "wb");
    int ok = out && fwrite(file->bytes, 1, file->n, out) == file->n;
    if (out && fclose(out) != 0)
        ok = 0;
    if (!ok)
        perror(path);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: demo-phantom-files DIR\n");
        return 2;
    }
    struct file file = {0};
    int ok = 1;
    for (int i = 0; i < n_pictures && ok; i++)
        for (int index = 0; index < pictures[i].count && ok; index++)
            ok = write_one(argv[1], &pictures[i], index, &file);
    file_fini(&file);
    return ok ? 0 : 1;
}
