/* A list of what is allowed; the rest does not exist (ENOSYS, which libraries take for an old kernel), and what only an
 * attacker does ends the worker, so that its cause of death says what was tried. SPDX-License-Identifier: Apache-2.0 */
#include "core/worker/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/worker/wire.h"

/* Computing, memory, threads, time; reading files Landlock grants. Nothing that names a process, a socket or a
 * file to be written. -1, a call this architecture does not have, is skipped. */
static const int plain[] = {
    SCMP_SYS(access),
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(faccessat),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(mincore),
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pread64),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
#if HL_IS_SANITIZED
    /* Their test of whether an address can be read. */
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
#endif
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

/* No library tries these by itself. */
static const int deadly[] = {
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(reboot),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
};

/* Refused as forbidden, not as unknown: libraries ask for these and live without. */
static const int denied[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(memfd_create),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(rename),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(sched_setaffinity),
};

/* A negative number is a call this architecture does not have. */
static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = calls[i] < 0 ? 0 : seccomp_rule_add(filter, action, calls[i], 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}
#define ADD(filter, action, list) add_list(filter, action, list, sizeof(list) / sizeof *(list))

/* Files to be read and nothing else, whatever Landlock of this kernel misses. */
static int add_open(scmp_filter_ctx filter)
{
    const scmp_datum_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
    if (rc == 0 && SCMP_SYS(open) >= 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0));
    return rc;
}

/* Threads, not processes. clone3 keeps its flags in memory, where a filter cannot see them: glibc takes ENOSYS
 * for an old kernel and uses clone. */
static int add_threads(scmp_filter_ctx filter)
{
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    /* fork() of glibc is a clone too. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return rc;
}

/* The one socket, its own signals (abort), names and limits to be read. sendto without an
 * address: the socket is connected, and cannot be made to reach another. */
static int add_narrow(scmp_filter_ctx filter)
{
    static const int names[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE};
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvfrom), 1,
                              SCMP_A0(SCMP_CMP_EQ, HL_WIRE_SOCKET, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 2,
                              SCMP_A0(SCMP_CMP_EQ, HL_WIRE_SOCKET, 0), SCMP_A4(SCMP_CMP_EQ, 0, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                              SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    if (rc == 0 && SCMP_SYS(fcntl) >= 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                              SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0));
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)names[i], 0));
    return rc;
}

/* The filter holds for threads made later, too; none is there yet. */
hilum_rc hl_filter_enter(uint32_t *in_force)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return hl_fail(HILUM_ENOMEM, "seccomp: no memory");
    int rc = ADD(filter, SCMP_ACT_ALLOW, plain);
    if (rc == 0)
        rc = ADD(filter, SCMP_ACT_KILL_PROCESS, deadly);
    if (rc == 0)
        rc = ADD(filter, SCMP_ACT_ERRNO(EPERM), denied);
    if (rc == 0)
        rc = add_open(filter);
    if (rc == 0)
        rc = add_threads(filter);
    if (rc == 0)
        rc = add_narrow(filter);
    /* Sixty rules one after the other cost a frame more than a search through a tree. */
    if (rc == 0)
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc == -EINVAL || rc == -ENOSYS)
        return HILUM_OK; /* a kernel without filters */
    if (rc < 0)
        return hl_fail(HILUM_EINTERNAL, "seccomp: %s", strerror(-rc));
    *in_force |= HL_JAIL_SECCOMP;
    return HILUM_OK;
}
