/* What the files of this folder share: a configuration while it is being built.
 * Knows nothing of libconfig (read.c alone does). SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CONFIG_TREE_H
#define HL_CONFIG_TREE_H

#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/config/config.h"

enum {
    HL_CONFIG_FILE_MAX = 1 << 20, /* bytes of one file */
    HL_CONFIG_LIST_MAX = 10000,   /* members of one list or group */
    HL_CONFIG_DEPTH_MAX = 16,
    HL_CONFIG_PATH_MAX = 256
};

/* All nodes and texts live in the arena and die with the configuration. */
struct hl_config {
    atomic_uint refs;
    struct hl_arena arena;
    struct hl_node *root;
    const char *site_dir;
};

/* One file or text being read. */
struct hl_source {
    const char *file; /* in the arena */
    const char *text; /* NUL-terminated */
    size_t size;
};

/* scan.c: adds what libconfig would swallow in silence (integers that do not fit, NUL bytes, text
 * that is not UTF-8, @include) to faults. false if libconfig must not see the text. */
bool hl_source_scan(const struct hl_source *source, struct hl_faults *faults);

/* read.c: parses into nodes of `config`. NULL after a fault was added. */
struct hl_node *hl_source_read(struct hl_config *config, const struct hl_source *source,
                               struct hl_faults *faults);

/* merge.c: lays `over` onto `group`. HILUM_ENOMEM. */
hilum_rc hl_node_merge(struct hl_config *config, struct hl_node *group, struct hl_node *over,
                       const char *path);
/* Two deeply equal values? NULL equals NULL. Where they were set does not matter. */
bool hl_node_equal(const struct hl_node *a, const struct hl_node *b);

/* check.c: every fault of the merged tree against the schema; file names become absolute. */
void hl_config_check(struct hl_config *config, struct hl_faults *faults);

/* units.c: a value as a fault shows it, `"text"`, `12`, `a group`. Returns out. */
char *hl_node_describe(const struct hl_node *node, char *out, size_t size);

#endif
