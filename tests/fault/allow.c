/* allow CALL... -- PROGRAM ARG...: runs a program that dies of any other system call, as under SystemCallFilter= of systemd.
 * SPDX-License-Identifier: Apache-2.0 */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int i = 1;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    /* Names systemd knows and this architecture has not are none of ours. */
    for (; filter && i < argc && strcmp(argv[i], "--") != 0; i++) {
        int call = seccomp_syscall_resolve_name(argv[i]);
        if (call >= 0)
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
    if (!filter || i + 1 >= argc || seccomp_load(filter) < 0) {
        fprintf(stderr, "usage: allow CALL... -- PROGRAM ARG...\n");
        return 2;
    }
    execv(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 2;
}
