/* SPDX-License-Identifier: Apache-2.0 */
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

static void keep_and_write(const char *json, const char *human)
{
    pthread_mutex_lock(&sink.lock);
    char **slot = &sink.lines[sink.next % RING];
    free(*slot);
    *slot = strdup(json);
    sink.next++;
    const char *line = sink.human ? human : json;
    if (sink.fd >= 0) {
        /* One write a line, newline included: lines of several processes do not mix. */
        char out[2 * LINE + 256];
        int n = snprintf(out, sizeof out, "%s\n", line);
        ssize_t ignored = write(sink.fd, out, n < (int)sizeof out ? (size_t)n : sizeof out);
        (void)ignored; /* a log that cannot be written has nowhere to say so */
    }
    pthread_mutex_unlock(&sink.lock);
}

void hl_log(enum hl_log_level level, const char *component, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&sink.level, memory_order_relaxed))
        return;
    char text[LINE], when[32], human[LINE + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hl_time_text(hl_now_us(), when, sizeof when);
    struct hl_buf json = {0};
    hl_buf_printf(&json, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":", when,
                  level_names[level]);
    hl_buf_json_string(&json, component);
    hl_buf_text(&json, ",\"text\":");
    hl_buf_json_string(&json, text);
    hl_buf_byte(&json, '}');
    snprintf(human, sizeof human, "%.8s %-5s %s: %s", when + 11, level_names[level], component,
             text);
    keep_and_write(hl_buf_str(&json), human);
    hl_buf_fini(&json);
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
