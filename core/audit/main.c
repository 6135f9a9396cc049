/* hilum-audit-verify: checks a file of `hilum audit export`, wherever it lies now. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "core/audit/chain.h"
#include "core/base/error.h"

/* 0: it holds; 1: it does not, the reason names the line; 2: usage. For scripts. */
int main(int argc, char **argv)
{
    struct hl_audit_checked checked;
    if (argc < 2 || argc > 3 || argv[1][0] == '-') {
        fputs(
            "usage: hilum-audit-verify FILE [KEY]\n"
            "Checks a file of `hilum audit export`. KEY: the server's, as it was noted elsewhere\n"
            "(`hilum audit key`); without it the file is only held against itself.\n",
            stderr);
        return 2;
    }
    if (hl_audit_file_check(argv[1], argv[2], &checked) != HILUM_OK) {
        fprintf(stderr, "hilum-audit-verify: %s\n", hl_error());
        return 1;
    }
    printf("%" PRId64 " rows under %" PRId64 " seals, to row %" PRId64 "; key %s%s\n", checked.rows,
           checked.seals, checked.last, checked.key,
           argc == 3 ? "" : " (of the file itself: compare it)");
    return 0;
}
