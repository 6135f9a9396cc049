/* Configuration: libconfig files merged in order into one tree of our own, where every value knows
 * the file and line it came from. The only folder that includes libconfig.h; it knows the schema of
 * the kernel's keys and nothing of what they switch. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CONFIG_H
#define HL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

/* libconfig's arrays and lists are both HL_NODE_LIST; its two widths of integers are both
 * HL_NODE_INT. */
enum hl_node_type {
    HL_NODE_GROUP,
    HL_NODE_LIST,
    HL_NODE_TEXT,
    HL_NODE_INT,
    HL_NODE_REAL,
    HL_NODE_BOOL
};

/* A value of the merged tree. Immutable after loading, lives as long as its hl_config. */
struct hl_node {
    enum hl_node_type type;
    const char *name; /* key in the enclosing group; NULL in a list */
    const char *file; /* where it was set (the last setter) */
    unsigned line;
    const char *text; /* HL_NODE_TEXT */
    int64_t integer;  /* HL_NODE_INT, HL_NODE_BOOL (0/1) */
    double real;
    struct hl_node **children; /* groups and lists */
    size_t n_children;
};

struct hl_config; /* one loaded, merged configuration */

/* A fault: "file:line: key: expected ..., found ..." ready to print. */
struct hl_fault {
    struct hl_fault *next;
    char *text;
};
struct hl_faults {
    struct hl_fault *first, **last;
    size_t count;
};
/* Adds "file:line: text", without a line when `line` is 0. `count` rises even when the text
 * cannot be kept for want of memory, so that no fault is taken for none. */
void hl_faults_add(struct hl_faults *faults, const char *file, unsigned line, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
/* Frees the texts; the list is empty and usable again. */
void hl_faults_fini(struct hl_faults *faults);

/* Where to read. Any may be NULL (skipped). Order: main, conf_dir/<*>.cfg by name, site_dir/<*>.cfg
 * by name. Groups merge key by key; lists of groups merge by `name` (unnamed groups are appended);
 * other lists and values are replaced by the later file. A path that is given must exist. Entries
 * of peers, plugins and routes with `enabled = false` are gone after loading. */
struct hl_config_paths {
    const char *main, *conf_dir, *site_dir;
    const char *extra; /* one more file after all: what the command line adds */
};
/* Reads, merges and validates everything against the schema; every fault found is added to *faults
 * (unknown keys name the nearest known key; types, ranges, units, references to peers). HILUM_OK
 * only without faults; *out is set unless nothing at all could be read. */
hilum_rc hl_config_load(const struct hl_config_paths *paths, struct hl_faults *faults,
                        struct hl_config **out);
/* A reference each for whoever keeps a configuration over a reload. Any thread; NULL is fine for
 * unref. With the last one all nodes and texts are gone. */
struct hl_config *hl_config_ref(struct hl_config *config); /* thread-safe */
void hl_config_unref(struct hl_config *config);
const char *hl_config_site_dir(const struct hl_config *config); /* NULL if none */

/* Typed getters by dotted path from the root ("dicom.idle_timeout"). The schema's default is
 * returned where the key is absent, so a getter cannot fail on a validated configuration. A path
 * that is not in the schema is a programmer error (assert). Text without a default is NULL. Paths
 * of files that must exist are absolute if their configuration file's was. Any thread. */
const char *hl_config_text(const struct hl_config *config, const char *path);
int64_t hl_config_int(const struct hl_config *config, const char *path);
bool hl_config_bool(const struct hl_config *config, const char *path);
uint64_t hl_config_bytes(const struct hl_config *config,
                         const char *path); /* "4GiB", "64KiB", 4096 */
int64_t hl_config_ms(const struct hl_config *config,
                     const char *path); /* "200ms", "5s", "10m", "24h", "7d" */
/* The node itself, NULL if absent: for lists (peers, plugins, routes). */
const struct hl_node *hl_config_node(const struct hl_config *config, const char *path);

/* Which top-level values and lists differ: ", "-separated paths appended to *applied (a reload is
 * enough) and *restart (the process must start anew). */
void hl_config_compare(const struct hl_config *before, const struct hl_config *after,
                       struct hl_buf *applied, struct hl_buf *restart);
/* All options with types, defaults and meaning, as Markdown, appended to *out. */
void hl_config_document(struct hl_buf *out);

/* The same on a group node (an entry of a list): `otherwise` where the key is absent or of
 * another type, so that the caller chooses what stands in (the schema's default, or another
 * key). `group` may be NULL: everything is absent. Borrowed from the configuration. Any thread. */
const struct hl_node *hl_node_get(const struct hl_node *group, const char *key);
const char *hl_node_text(const struct hl_node *group, const char *key, const char *otherwise);
int64_t hl_node_int(const struct hl_node *group, const char *key, int64_t otherwise);
bool hl_node_bool(const struct hl_node *group, const char *key, bool otherwise);
int64_t hl_node_ms(const struct hl_node *group, const char *key, int64_t otherwise);
uint64_t hl_node_bytes(const struct hl_node *group, const char *key, uint64_t otherwise);

/* The longest duration anybody can write: 36500d. */
#define HL_MS_MAX (INT64_C(36500) * 86400000)

/* Units, shared with plugin options and Lua. HILUM_EINVAL says what was expected. Bytes are at most
 * INT64_MAX, milliseconds HL_MS_MAX. *out is written on success only. */
hilum_rc hl_parse_bytes(const char *text, uint64_t *out);
hilum_rc hl_parse_ms(const char *text, int64_t *out);
/* "02:30" as minutes of the day, local; "" and NULL: none, -1. HILUM_EINVAL. */
hilum_rc hl_parse_day_minute(const char *text, int *out);
/* A duration (0 or more) in the largest unit that shows it whole, "24h" as "1d". Returns `out`. */
char *hl_ms_text(int64_t ms, char *out, size_t size);
/* The same of a size: "4KiB". */
char *hl_bytes_text(int64_t bytes, char *out, size_t size);

/* Nearest of `n` words by edit distance, NULL if none is near (distance <= 3 and < half its
 * length). */
const char *hl_nearest(const char *word, const char *const *words, size_t n);

#endif
