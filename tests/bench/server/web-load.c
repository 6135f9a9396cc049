/* web-load: GETs over connections that stay open, for bench_web.py. Its own time counts little: one blocking thread a
 * connection, bodies are counted and dropped.
 * usage: web-load PORT CONNECTIONS SECONDS ACCEPT PATH...   (paths in turn; "-" reads them from standard input)
 * Prints: requests bytes seconds p50-ms p95-ms failures first-ms
 * SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 512 * 1024, SAMPLES = 200000, PATHS = 100000 };

struct load {
    int port;
    const char *accept;
    char **paths;
    size_t n_paths;
    double until;
    atomic_size_t next, n_samples, failures;
    atomic_uint_fast64_t bytes;
    float *samples; /* milliseconds */
};

struct reader {
    int fd;
    char *buffer;
    size_t at, n;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool fill(struct reader *reader)
{
    ssize_t got = recv(reader->fd, reader->buffer, BUFFER, 0);
    reader->at = 0;
    reader->n = got > 0 ? (size_t)got : 0;
    return got > 0;
}

static bool line_read(struct reader *reader, char *out, size_t size)
{
    size_t n = 0;
    for (;;) {
        if (reader->at == reader->n && !fill(reader))
            return false;
        char c = reader->buffer[reader->at++];
        if (c == '\n')
            break;
        if (c != '\r' && n + 1 < size)
            out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool skip(struct reader *reader, uint64_t n)
{
    while (n > 0) {
        if (reader->at == reader->n && !fill(reader))
            return false;
        uint64_t take = reader->n - reader->at < n ? reader->n - reader->at : n;
        reader->at += take;
        n -= take;
    }
    return true;
}

static bool chunks_skip(struct reader *reader, uint64_t *bytes)
{
    char line[64];
    for (;;) {
        if (!line_read(reader, line, sizeof line))
            return false;
        uint64_t n = strtoull(line, NULL, 16);
        if (!skip(reader, n) || !line_read(reader, line, sizeof line))
            return false;
        *bytes += n;
        if (n == 0)
            return true;
    }
}

static uint64_t rest_skip(struct reader *reader)
{
    uint64_t n = reader->n - reader->at;
    while (fill(reader))
        n += reader->n;
    reader->at = reader->n = 0;
    return n;
}

/* One exchange. False: the connection is of no more use. */
static bool ask(struct load *load, struct reader *reader, const char *path, bool *is_good)
{
    char line[1024];
    uint64_t length = 0;
    bool is_chunked = false, has_length = false, is_status_bare = false;
    int n = snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: %s\r\n\r\n",
                     path, load->accept);
    if (send(reader->fd, line, (size_t)n, MSG_NOSIGNAL) != n ||
        !line_read(reader, line, sizeof line))
        return false;
    *is_good = strncmp(line, "HTTP/1.1 2", 10) == 0;
    is_status_bare = strncmp(line, "HTTP/1.1 204", 12) == 0;
    while (line_read(reader, line, sizeof line) && line[0] != '\0') {
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            length = strtoull(line + 15, NULL, 10);
            has_length = true;
        }
        if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0)
            is_chunked = true;
    }
    bool is_whole = false;
    if (is_chunked)
        is_whole = chunks_skip(reader, &length);
    else if (has_length || is_status_bare)
        is_whole = skip(reader, length);
    else
        length = rest_skip(reader); /* its end is that of the connection */
    *is_good = *is_good && (is_whole || length > 0);
    atomic_fetch_add(&load->bytes, length);
    return is_whole;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void *run(void *arg)
{
    struct load *load = arg;
    struct reader reader = {.fd = connect_to(load->port), .buffer = malloc(BUFFER)};
    while (reader.fd >= 0 && reader.buffer != NULL && now() < load->until) {
        bool is_good = false;
        size_t i = atomic_fetch_add(&load->next, 1);
        double begun = now();
        bool goes_on = ask(load, &reader, load->paths[i % load->n_paths], &is_good);
        size_t at = atomic_fetch_add(&load->n_samples, 1);
        if (at < SAMPLES)
            load->samples[at] = (float)((now() - begun) * 1000);
        if (!is_good)
            atomic_fetch_add(&load->failures, 1);
        if (!goes_on) {
            close(reader.fd);
            reader.fd = connect_to(load->port);
            reader.at = reader.n = 0;
        }
    }
    close(reader.fd);
    free(reader.buffer);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void paths_read(struct load *load, int argc, char **argv)
{
    char line[1024];
    bool is_list = strcmp(argv[5], "-") == 0;
    load->paths = calloc(PATHS, sizeof *load->paths);
    if (load->paths == NULL)
        return;
    for (int i = 5; !is_list && i < argc; i++)
        load->paths[load->n_paths++] = argv[i];
    while (is_list && load->n_paths < PATHS && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        load->paths[load->n_paths++] = strdup(line);
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[4096];
    struct load load = {0};
    if (argc < 6)
        return 2;
    int connections = atoi(argv[2]);
    load.port = atoi(argv[1]);
    load.accept = argv[4];
    load.samples = calloc(SAMPLES, sizeof *load.samples);
    paths_read(&load, argc, argv);
    double begun = now();
    load.until = begun + atof(argv[3]);
    for (int i = 0; i < connections && i < 4096; i++)
        if (pthread_create(&threads[i], NULL, run, &load) != 0)
            return 1;
    for (int i = 0; i < connections && i < 4096; i++)
        pthread_join(threads[i], NULL);
    double spent = now() - begun;
    size_t n = load.n_samples < SAMPLES ? load.n_samples : SAMPLES;
    float first = n > 0 ? load.samples[0] : 0;
    qsort(load.samples, n, sizeof *load.samples, by_size);
    printf("%zu %llu %.3f %.3f %.3f %zu %.3f\n", load.n_samples, (unsigned long long)load.bytes,
           spent, n > 0 ? (double)load.samples[n / 2] : 0.0,
           n > 0 ? (double)load.samples[n * 95 / 100] : 0.0, load.failures, (double)first);
    return 0;
}
