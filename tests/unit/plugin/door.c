/* A server of one byte, its version's, on a socket of the host's: door-one, door-two and so on. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hilum/codec.h"
#include "hilum/host.h"

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    int fd;
    _Atomic uint16_t port; /* told by calls that may come while the door opens */
    pthread_t thread;
    atomic_int is_over;
    int has_thread, n_asked, is_drained;
};

static void *serve(void *arg)
{
    struct state *s = arg;
    const char byte = VERSION;
    while (!atomic_load(&s->is_over)) {
        struct pollfd poller = {.fd = s->fd, .events = POLLIN};
        int client = poll(&poller, 1, 5) > 0 ? accept(s->fd, NULL, NULL) : -1;
        if (client < 0)
            continue;
        usleep(500); /* an answer takes its time */
        ssize_t n = send(client, &byte, 1, MSG_NOSIGNAL);
        (void)n;
        close(client);
    }
    return NULL;
}

/* What the host calls through a gate, for probation. */
static hilum_rc tell(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    unsigned char bytes[3] = {(unsigned char)VERSION, (unsigned char)(s->port >> 8),
                              (unsigned char)s->port};
#ifdef BAD
    return s->host->fail(s->self, HILUM_EIO, "not today");
#endif
    return call->result.write(call->result.ctx, bytes, sizeof bytes);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    struct state *s = calloc(1, sizeof *s);
    (void)conf;
    if (!s)
        return HILUM_ENOMEM;
    *s = (struct state){.host = host, .self = self, .fd = -1};
    *state = s;
    const struct hilum_decl command = {.size = sizeof command,
                                       .type = HILUM_DECL_COMMAND,
                                       .name = "door tell",
                                       .summary = "Which version, which port.",
                                       .permission = "status",
                                       .run = tell,
                                       .arg = s};
    return host->declare(self, &command);
}

static hilum_rc open_door(void *state)
{
    struct state *s = state;
#ifdef FAIL_START
    return s->host->fail(s->self, HILUM_EIO, "no door today");
#endif
    uint16_t port;
    uint16_t other_port;
    int32_t other;
    hilum_rc rc = s->host->listen(s->self, "127.0.0.1:0", &s->fd, &port);
    s->port = port;
    /* Asked for again it is another one; the next version gets both in this order. */
    if (rc == HILUM_OK)
        rc = s->host->listen(s->self, "127.0.0.1:0", &other, &other_port);
    if (rc == HILUM_OK && (close(other) != 0 || other_port == port))
        rc = s->host->fail(s->self, HILUM_EINTERNAL, "one port twice");
    if (rc != HILUM_OK)
        return rc;
    s->has_thread = pthread_create(&s->thread, NULL, serve, s) == 0;
    return s->has_thread ? HILUM_OK : HILUM_ENOMEM;
}

static void drain(void *state, uint32_t deadline_ms)
{
    struct state *s = state;
    s->is_drained = deadline_ms > 0;
    atomic_store(&s->is_over, 1);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    s->has_thread = 0;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

#ifdef LINGERS /* so many times it says that its answers are not out */
static hilum_rc let_go(void *state, uint32_t deadline_ms)
{
    struct state *s = state;
    if (deadline_ms > 0)
        drain(s, 0);
    return s->n_asked++ < LINGERS ? HILUM_EAGAIN : HILUM_OK;
}

/* Tells how it ended. */
static void end(void *state)
{
    struct state *s = state;
    char path[256];
    snprintf(path, sizeof path, "%s/ended", s->host->data_dir(s->self));
    FILE *f = fopen(path, "w");
    fprintf(f, "asked %d drained %d", s->n_asked, s->is_drained);
    fclose(f);
    free(s);
}
#else
#define let_go NULL
#define end    free
#endif

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,
                                               .size = sizeof plugin,
                                               .abi_major = HILUM_ABI_MAJOR,
                                               .abi_minor = HILUM_ABI_MINOR,
                                               .id = "door",
                                               .version = VERSION_TEXT,
                                               .vendor = "tests",
                                               .licence = "MIT",
                                               .init = init,
                                               .ready = open_door,
                                               .drain = drain,
                                               .hand_over = let_go,
                                               .fini = end,
                                               .swap = HILUM_SWAP_HANDOVER};
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
