/* web-bare: libmicrohttpd and nothing else, serving the same bytes, for bench_web.py.
 * usage: web-bare LENGTH STUDY-FILE...
 * /frame/N: the last LENGTH bytes of file N (from 0) by sendfile; /study: the files, mapped, one after the other. Prints
 * the port; ends with its standard input. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct MHD_Response **frames, *study;
static unsigned n_frames;

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *bytes, size_t *n,
                              void **context)
{
    static int seen;
    (void)arg;
    (void)method;
    (void)version;
    (void)bytes;
    (void)n;
    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    unsigned long i = strncmp(url, "/frame/", 7) == 0 ? strtoul(url + 7, NULL, 10) : n_frames;
    return MHD_queue_response(connection, 200, i < n_frames ? frames[i] : study);
}

static struct MHD_Response *study_make(char **paths, unsigned n)
{
    struct MHD_IoVec *vectors = calloc(n, sizeof *vectors);
    for (unsigned i = 0; vectors != NULL && i < n; i++) {
        struct stat st = {0};
        int fd = open(paths[i], O_RDONLY);
        if (fd < 0 || fstat(fd, &st) != 0)
            return NULL;
        void *at =
            mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, (off_t)0);
        vectors[i] = (struct MHD_IoVec){at, (size_t)st.st_size};
        close(fd);
    }
    return vectors != NULL ? MHD_create_response_from_iovec(vectors, n, NULL, NULL) : NULL;
}

static bool frames_make(char **paths, unsigned n, uint64_t length)
{
    frames = calloc(n, sizeof(*frames));
    for (unsigned i = 0; frames != NULL && i < n; i++) {
        struct stat st = {0};
        int fd = open(paths[i], O_RDONLY);
        if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size < length)
            return false;
        frames[i] =
            MHD_create_response_from_fd_at_offset64(length, fd, (uint64_t)st.st_size - length);
        n_frames += frames[i] != NULL;
    }
    return n_frames == n;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    study = study_make(argv + 2, (unsigned)(argc - 2));
    bool has_frames = frames_make(argv + 2, (unsigned)(argc - 2), strtoull(argv[1], NULL, 10));
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_THREAD_POOL_SIZE, 2,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    if (daemon == NULL || !has_frames || study == NULL)
        return 1;
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    MHD_stop_daemon(daemon);
    return 0;
}
