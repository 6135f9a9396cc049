/* The kit's server as a program, sink [ADDRESS [CERTIFICATE-AND-KEY]]: prints its port, throws away
 * what it gets, ends at end of input.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct kit *kit = calloc(1, sizeof *kit);
    const struct hl_ul_limits limits = {.max_associations = 4000, .max_connecting = 1000};
    const struct hl_ul_tls_config config = {.certificate = argc > 2 ? argv[2] : NULL};
    struct hl_ul_tls *tls = NULL;
    if (!kit || (argc > 2 && hl_ul_tls_new(&config, true, &tls)))
        return 1;
    kit_start(kit, argc > 1 ? argv[1] : "127.0.0.1:0", &limits, tls);
    hl_ul_tls_unref(tls);
    printf("%u\n", kit->port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    kit_stop(kit);
    printf("%llu messages, %llu bytes, %u associations\n", (unsigned long long)kit->messages,
           (unsigned long long)kit->bytes, kit->closed);
    free(kit);
    return 0;
}
