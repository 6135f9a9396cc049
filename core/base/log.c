/* One sink behind one lock, written by every thread of the process. A line is made outside the
 * lock and written inside it, so that lines do not mix and the ring has them in the order of the
 * file. The lock is a leaf: nothing of ours is called under it but the callback of hl_log_tail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"
#include "core/base/buf.h"
#include "core/base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines kept for `hilum log`, and bytes of a line's text: what a peer sends is cut here, not by
 * its sender. */
enum { RING = 1000, LINE = 1024 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* The process-wide sink; see README.md, decision of 2026-11-23. */
static struct {
    pthread_mutex_t lock;
    atomic_int level;
    int fd;
    bool human;
    uint64_t next; /* number of the next line; the ring slot is number % RING */
    char *lines[RING];
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = HL_INFO, .fd = 2, .next = 1};

void hl_log_set_level(enum hl_log_level level)
{
    atomic_store(&sink.level, (int)level);
}

void hl_log_set_output(int fd, bool human)
{
    pthread_mutex_lock(&sink.lock);
    sink.fd = fd;
    sink.human = human;
    pthread_mutex_unlock(&sink.lock);
}

int hl_log_level_from_text(const char *text)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(text, level_names[i]) == 0)
            return i;
    return -1;
}

/* JSON escapes what would end a line or steer a terminal; in the form for people it is a `?`: what a peer sends
 * must not pass for a line of ours. */
static void make_plain(struct hl_buf *line)
{
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->data[i] < 0x20 || line->data[i] == 0x7F)
            line->data[i] = '?';
}

static void keep_and_write(struct hl_buf *json, struct hl_buf *human)
{
    pthread_mutex_lock(&sink.lock);
    char **slot = &sink.lines[sink.next % RING];
    free(*slot);
    *slot = strdup(hl_buf_str(json));
    sink.next++;
    struct hl_buf *line = sink.human ? human : json;
    hl_buf_byte(line, '\n');
    if (sink.fd >= 0 && !line->failed) {
        /* One write a line, newline included: lines of several processes do not mix. */
        ssize_t ignored = write(sink.fd, line->data, line->len);
        (void)ignored; /* a log that cannot be written has nowhere to say so */
    }
    pthread_mutex_unlock(&sink.lock);
}

void hl_log(enum hl_log_level level, const char *component, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&sink.level, memory_order_relaxed))
        return;
    char text[LINE], when[32];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hl_time_text(hl_now_us(), when, sizeof when);
    struct hl_buf json = {0}, human = {0};
    hl_buf_printf(&json, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":", when,
                  level_names[level]);
    hl_buf_json_string(&json, component);
    hl_buf_text(&json, ",\"text\":");
    hl_buf_json_string(&json, text);
    hl_buf_byte(&json, '}');
    hl_buf_printf(&human, "%.8s %-5s %s: %s", when + 11, level_names[level], component, text);
    make_plain(&human);
    keep_and_write(&json, &human);
    hl_buf_fini(&json);
    hl_buf_fini(&human);
}

uint64_t hl_log_tail(uint64_t after, void (*line)(void *arg, uint64_t number, const char *json),
                     void *arg)
{
    pthread_mutex_lock(&sink.lock);
    uint64_t first = sink.next > RING ? sink.next - RING : 1;
    for (uint64_t n = after + 1 > first ? after + 1 : first; n < sink.next; n++)
        if (sink.lines[n % RING])
            line(arg, n, sink.lines[n % RING]);
    uint64_t newest = sink.next - 1;
    pthread_mutex_unlock(&sink.lock);
    return newest;
}
