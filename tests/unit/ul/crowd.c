/* Opens idle associations of 60 contexts with 2 syntaxes each and holds them until the end of
 * input: crowd PORT NUMBER [AUTHORITIES, for TLS]. For measuring by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "tests/unit/ul/kit.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONTEXTS = 60 };

int main(int argc, char **argv)
{
    static struct hl_ul_context contexts[CONTEXTS];
    struct hl_ul_params propose = *kit_proposal();
    unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 1000, open = 0;
    struct hl_ul_assoc **all = calloc(n, sizeof *all);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        contexts[i] = propose.contexts[1];
        contexts[i].id = (uint8_t)(2 * i + 1);
    }
    propose.contexts = contexts;
    propose.n_contexts = CONTEXTS;
    const struct hl_ul_tls_config config = {.ca = argc > 3 ? argv[3] : NULL};
    struct hl_ul_connect how = {
        .host = "127.0.0.1", .port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 0), .propose = &propose};
    if (argc > 3 && hl_ul_tls_new(&config, false, &how.tls))
        return 1;
    for (; all && open < n; open++)
        if (hl_ul_open(&how, &all[open])) {
            fprintf(stderr, "%s\n", hl_error());
            break;
        }
    printf("%u open\n", open);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    while (open > 0)
        hl_ul_release(all[--open]);
    hl_ul_tls_unref(how.tls);
    free(all);
    return 0;
}
