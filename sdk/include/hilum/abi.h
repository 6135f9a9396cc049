/* The bottom of the contract: result codes, sized structs, byte sinks. Frozen for ABI major 1.
 * Knows nothing of the host, of any library and of DICOM.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_ABI_H
#define HILUM_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HILUM_ABI_MAJOR      1u
#define HILUM_ABI_MINOR      0u
#define HILUM_MAGIC          0x4D4C4948u /* "HILM" read as little endian */
#define HILUM_LENGTH_UNKNOWN UINT64_MAX
#define HILUM_EXPORT         __attribute__((visibility("default")))

/* A struct that crosses the border states its own size, filled in by whoever allocates it, and only
 * ever grows at the end. Test before touching a member newer than 1.0:
 *     if (HILUM_HAS(struct hilum_store, store->cap.size, open_fd) && store->open_fd) ... */
#define HILUM_HAS(type, given, member)                                                             \
    ((given) >= offsetof(type, member) + sizeof(((type *)0)->member))

/* 0, a positive answer where a function documents one, or a negative HILUM_E*. */
typedef int32_t hilum_rc;

/* The values are ABI; the C type of a result is hilum_rc. */
enum {
    HILUM_OK = 0,
    HILUM_EINVAL = -1,    /* an argument or a message is not of the documented form */
    HILUM_ENOMEM = -2,    /* memory or a memory budget is used up */
    HILUM_ENOTFOUND = -3, /* no such object, name or row */
    HILUM_EEXISTS = -4,   /* already there */
    HILUM_EIO = -5,       /* a device, file or socket failed */
    HILUM_EAGAIN = -6,    /* not now; the same call may succeed later */
    HILUM_EDENIED = -7,   /* not allowed, or not allowed in this phase */
    HILUM_ECORRUPT = -8,  /* stored bytes are not what was stored */
    HILUM_EUNSUP = -9,    /* not implemented by this provider */
    HILUM_ECANCELLED = -10,
    HILUM_ETIMEDOUT = -11, /* a deadline passed */
    HILUM_EFULL = -12,     /* the medium is full */
    HILUM_ECONFLICT = -13, /* the state changed meanwhile, or expected rows did not match */
    HILUM_ECLOSED = -14,   /* the peer or the provider has gone */
    HILUM_EINTERNAL = -99  /* a defect in the provider */
};

typedef struct hilum_self hilum_self; /* this plugin, as the host knows it */

/* Where output of unbounded length goes. write() takes all n bytes or fails; it may be called
 * any number of times, from the thread that was given the sink. */
struct hilum_sink {
    uint32_t size, reserved;
    /* Takes all n bytes and copies what it keeps, or fails; the writer stops then and returns that error. */
    hilum_rc (*write)(void *ctx, const void *bytes, uint64_t n);
    void *ctx; /* whoever made the sink: write()'s first argument */
};

/* First member of every capability table. `size` is that of the whole table that follows. */
struct hilum_cap {
    uint32_t size;
    uint32_t kind;    /* HILUM_CAP_* of hilum/plugin.h */
    uint32_t threads; /* HILUM_SERIAL (0) unless it says otherwise */
    uint32_t reserved;
    const char *name; /* unique per kind: "fs", "sqlite" */
};

enum {
    HILUM_SERIAL = 0,   /* the host never runs two calls of one instance at once */
    HILUM_PARALLEL = 1, /* any thread, concurrently: the provider does its own locking */
    HILUM_LOOP = 2      /* event-loop thread only: may not block, 5 ms budget */
};

#ifdef __cplusplus
}
#endif
#endif
