/* The kernel's configuration keys, as one table: validation, defaults, suggestions and the printed
 * list of options come from it. Knows no value and no file. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CONFIG_SCHEMA_H
#define HL_CONFIG_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

enum hl_kind {
    HL_KIND_GROUP,  /* members are rows below it */
    HL_KIND_GROUPS, /* a list of groups; members are rows below "path[]" */
    HL_KIND_FREE,   /* a group somebody else validates */
    HL_KIND_TEXT,
    HL_KIND_NAME,   /* at most 63 letters, digits and _ . - / */
    HL_KIND_CHOICE, /* one of `choices` */
    HL_KIND_INT,    /* min to max */
    HL_KIND_BOOL,
    HL_KIND_BYTES,
    HL_KIND_MS,
    HL_KIND_AET,    /* PS3.5 6.2: up to 16 characters, no backslash, no control character */
    HL_KIND_LISTEN, /* "ADDRESS:PORT", or a group below "path[]" */
    HL_KIND_CIDR,
    HL_KIND_TLS,    /* true, false or a group below it */
    HL_KIND_FILE,   /* readable; relative to the file that names it */
    HL_KIND_SYNTAX, /* a UID, or a keyword of PS3.6 */
    HL_KIND_SHA256, /* 64 hex digits */
    HL_KIND_MODE,   /* octal text "0600" */
    HL_KIND_TIME,   /* "02:30", or empty: none */
    HL_KIND_PEER,   /* name of a configured peer */
    HL_KINDS
};

enum {
    HL_OPTION_LIST = 1,     /* a list of that kind */
    HL_OPTION_REQUIRED = 2, /* its group is at fault without it */
    HL_OPTION_RELOAD = 4,   /* `config reload` applies it; otherwise it needs a restart */
    HL_OPTION_REPLACE = 8,  /* a later file replaces the list, even one of groups */
    HL_OPTION_OR_ZERO = 16  /* 0 is right too, below `min`: `help` says what it means */
};

struct hl_option {
    const char *path; /* "peers[].port" */
    enum hl_kind kind;
    unsigned flags;
    const char *fallback; /* as it would be written; NULL: none */
    const char *choices;  /* "a|b" */
    int64_t min,
        max; /* of integers, bytes, milliseconds; of the latter two a max of 0 is the largest there is */
    const char *help;
};

/* Groups come before their members: the printed page has a heading per top-level group, in this
 * order. */
extern const struct hl_option hl_options[];
extern const size_t hl_options_count;

/* NULL if there is no such key. */
const struct hl_option *hl_option_find(const char *path);
/* Is the option a direct member of the group at `path` ("" is the root)? Then its key, else NULL.
 */
const char *hl_option_key_in(const struct hl_option *option, const char *path);

#endif
