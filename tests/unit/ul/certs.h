/* Certificates made for one test run: an authority, a server, a client, and a stranger's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef UL_CERTS_H
#define UL_CERTS_H

struct certs {
    char folder[64];
    char ca[96], stranger_ca[96];
    /* Certificate and key in one file. */
    char server[96], server2[96], client[96], stranger[96], slow[96];
};

/* In a new folder below /tmp; server: localhost, 127.0.0.1, ::1. server2: as server, CN=server2. */
void certs_make(struct certs *certs);
/* An RSA key of 4096 bits, whose signature takes milliseconds, and a certificate of its own. */
void certs_make_slow(struct certs *certs);
void certs_remove(struct certs *certs);

#endif
