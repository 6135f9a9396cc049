/* The log: JSON lines on a file descriptor, the last ones kept in a ring for `hilum log`.
 * The one process-wide sink of the kernel (dated decision in README.md): every layer reports here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_LOG_H
#define HL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hl_log_level { HL_DEBUG, HL_INFO, HL_WARN, HL_ERROR };

/* One line. `component` is the folder or plugin ("ul", "store-fs"). Any thread. No patient data
 * at any level: UIDs and peers may appear, names and IDs may not. */
void hl_log(enum hl_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines below `level` are dropped. Default HL_INFO. */
void hl_log_set_level(enum hl_log_level level);
/* Where lines go (default 2). `human`: "12:34:56 warn ul: text" instead of JSON. -1: ring only. */
void hl_log_set_output(int fd, bool human);

/* Calls `line` for the kept lines with a number above `after`, oldest first, and returns the
 * number of the newest. JSON text, borrowed during the call. At most 1,000 lines are kept. The
 * callback runs under the log's lock: it may copy, but not log and not block. */
uint64_t hl_log_tail(uint64_t after, void (*line)(void *arg, uint64_t number, const char *json),
                     void *arg);

/* "debug", "info", "warn", "error" -> level; -1 otherwise. */
int hl_log_level_from_text(const char *text);

#endif
