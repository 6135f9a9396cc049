/* hilum-plugin-check: what Hilum asks of a plugin, told to its author without a PACS. It knows the plugin
 * host and nothing of records, stores and networks. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CHECK_H
#define HL_CHECK_H

#include <stdbool.h>

enum { HL_CHECK_OTHERS = 16, HL_CHECK_OPTIONS = 64, HL_CHECK_KINDS = 16 };

/* What the author asked for. Strings are argv's. */
struct hl_check_request {
    const char *file;
    const char *name;                      /* NULL: the file's, without ".so" */
    const char *others[HL_CHECK_OTHERS];   /* plugins it needs, opened before it */
    const char *options[HL_CHECK_OPTIONS]; /* "key=value" */
    int n_others, n_options;
    int seconds; /* that one life of the plugin, or one suite, may take */
};

/* Lies in memory shared with the process the plugin runs in, so that it outlives a crash. */
struct hl_check_state {
    int n_good, n_bad;
    bool is_over;                   /* the checks ran to their end */
    char step[64];                  /* what is being checked */
    char kinds[HL_CHECK_KINDS][32]; /* of capabilities it provides, each once */
    int n_kinds;
};

/* One line each on stdout: "ok    step" or "BAD   step: why". */
void hl_check_good(struct hl_check_state *state, const char *what);
void hl_check_bad(struct hl_check_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens the plugin in this process and takes it through two lives: file, descriptor, options, init, start,
 * drain, fini. A plugin that crashes takes the process with it: call it in a child. work: an empty directory. */
void hl_check_inspect(const struct hl_check_request *request, const char *work,
                      struct hl_check_state *state);

#endif
