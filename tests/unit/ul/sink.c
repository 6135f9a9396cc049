/* The kit's server as a program: prints its port, throws away what it gets, ends at end of input.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct kit *kit = calloc(1, sizeof *kit);
    const struct hl_ul_limits limits = {.max_associations = 4000, .max_connecting = 1000};
    if (!kit)
        return 1;
    kit_start(kit, argc > 1 ? argv[1] : "127.0.0.1:0", &limits, NULL);
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
