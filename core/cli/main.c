/* The hilum program; run.c is all of it. SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>

#include "core/cli/cli.h"

int main(int argc, char **argv)
{
    /* Hilum speaks UTF-8 whatever the terminal's locale says; the C library needs to know for
     * widths. */
    setlocale(LC_CTYPE, "C.UTF-8");
    return hl_cli_run(argc - 1, argv + 1, stdout, stderr);
}
