/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS = 32 };

static const char *so;
static uint32_t wanted;
static char keys[OPTIONS][32];
static struct fake_option options[OPTIONS + 1];

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct kept *kept = ctx;
    kept->calls++;
    if (kept->limit && kept->n + n > kept->limit)
        return HILUM_EFULL;
    kept->bytes = realloc(kept->bytes, (size_t)(kept->n + n + 1));
    assert_non_null(kept->bytes);
    if (n)
        memcpy(kept->bytes + kept->n, bytes, (size_t)n);
    kept->n += n;
    kept->bytes[kept->n] = '\0';
    return HILUM_OK;
}

struct hilum_sink kept_sink(struct kept *kept)
{
    return (struct hilum_sink){.size = sizeof(struct hilum_sink), .write = keep, .ctx = kept};
}

void kept_free(struct kept *kept)
{
    free(kept->bytes);
    *kept = (struct kept){0};
}

int provided_setup(void **state)
{
    struct provided *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/hilum-contract-XXXXXX");
    if (!mkdtemp(p->dir) || !(p->host = fake_host_open(so, p->dir, options)))
        return -1;
    p->table = fake_host_cap(p->host, wanted, &p->self);
    *state = p;
    return 0;
}

int provided_teardown(void **state)
{
    struct provided *p = *state;
    char command[128];
    fake_host_close(p->host);
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    int code = system(command);
    free(p);
    return code;
}

int contract_main(int argc, char **argv, uint32_t kind, int (*run)(void))
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLUGIN.so [key=value...]\n", argv[0]);
        return 2;
    }
    so = argv[1];
    wanted = kind;
    for (int i = 2; i < argc && i - 2 < OPTIONS; i++) {
        size_t n = strcspn(argv[i], "=");
        snprintf(keys[i - 2], sizeof keys[0], "%.*s", (int)n, argv[i]);
        options[i - 2] = (struct fake_option){keys[i - 2], argv[i] + n + (argv[i][n] == '=')};
    }
    return run();
}
