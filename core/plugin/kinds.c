/* What is known of each kind of capability: its name, whether its table may still change, which members it
 * must have and how many providers of one thing there may be. It knows nothing of what a provider does.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/host.h"
#include "hilum/auth.h"
#include "hilum/carrier.h"
#include "hilum/hl7.h"
#include "hilum/notifier.h"
#include "hilum/operator.h"
#include "hilum/renderer.h"
#include "hilum/report.h"
#include "hilum/route.h"

typedef hilum_rc (*check)(struct hilum_self *plugin, const struct hilum_cap *cap);

/* What every provider of a kind has: a table at least this long, and these members, not NULL. */
struct must {
    uint16_t offset;
    const char *member;
};

struct kind {
    const char *name;
    bool is_preview, is_isolatable;
    uint16_t size;            /* up to the last member of ABI 1.0 */
    const struct must *musts; /* ends with member NULL */
    check check;              /* further rules, or NULL */
};

/* ---- one provider of one thing ---- */

/* name NULL: any of the kind. */
static struct capability *capability_of(const struct hilum_self *plugin, uint32_t kind,
                                        const char *name)
{
    for (struct capability *c = plugin->caps; c; c = c->next)
        if (c->cap->kind == kind && (!name || strcmp(c->cap->name, name) == 0))
            return c;
    return NULL;
}

/* At most one database, since the kernel keeps its tables in one and would not know which. */
static hilum_rc check_name(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    /* One database at all, one of each name of everything else. */
    const char *name = cap->kind == HILUM_CAP_DATABASE ? NULL : cap->name;
    const struct hilum_self *other;
    for (size_t i = 0; (other = hl_peer(plugin, i)); i++)
        if (capability_of(other, cap->kind, name))
            return hl_fail(HILUM_EEXISTS, "%s%s%s is provided by plugins %s and %s; remove one",
                           hl_cap_kind_name(cap->kind), name ? ":" : "", name ? name : "",
                           other->id, plugin->id);
    return HILUM_OK;
}

/* ---- service: one per SOP class ---- */

static bool serves(const struct hilum_cap *cap, const char *sop_class)
{
    const struct hilum_service *service = (const struct hilum_service *)(const void *)cap;
    for (const char *const *uid = service->sop_classes; uid && *uid; uid++)
        if (strcmp(*uid, sop_class) == 0)
            return true;
    return false;
}

static struct capability *service_of(const struct hilum_self *plugin, const char *sop_class)
{
    for (struct capability *c = plugin->caps; c; c = c->next)
        if (c->cap->kind == HILUM_CAP_SERVICE && serves(c->cap, sop_class))
            return c;
    return NULL;
}

struct capability *hl_service_provider(const struct hl_plugins *host, const char *sop_class)
{
    struct capability *found = NULL;
    for (size_t i = 0; !found && i < host->n; i++)
        if (hl_plugin_is_ready(host->plugins[i]))
            found = service_of(host->plugins[i], sop_class);
    return found;
}

static hilum_rc check_service(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    const struct hilum_service *service = (const struct hilum_service *)(const void *)cap;
    /* Two plugins that answer one SOP class: which one a modality meets would depend on the file's order. */
    for (const char *const *uid = service->sop_classes; uid && *uid; uid++) {
        const struct hilum_self *other;
        for (size_t i = 0; (other = hl_peer(plugin, i)); i++)
            if (service_of(other, *uid))
                return hl_fail(HILUM_EEXISTS,
                               "SOP class %s is served by plugins %s and %s; remove one", *uid,
                               other->id, plugin->id);
    }
    return HILUM_OK;
}

/* ---- codec: by transfer syntax and priority ---- */

/* Any number may decode one transfer syntax; the priority decides. */
static hilum_rc check_codec(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    const struct hilum_codec *codec = (const struct hilum_codec *)(const void *)cap;
    (void)plugin;
    for (const struct hilum_codec_syntax *s = codec->syntaxes; s->uid; s++)
        if (s->flags & HILUM_CODEC_ENCODES && !codec->encode)
            return hl_fail(HILUM_EINVAL, "codec \"%s\": says that it encodes %s; encode is missing",
                           cap->name, s->uid);
        else if (s->flags & HILUM_CODEC_REPACKS &&
                 (!HILUM_HAS(struct hilum_codec, cap->size, repack) || !codec->repack))
            return hl_fail(HILUM_EINVAL, "codec \"%s\": says that it repacks %s; repack is missing",
                           cap->name, s->uid);
    return HILUM_OK;
}

static const struct hilum_codec_syntax *syntax_of(const struct capability *c, const char *uid,
                                                  uint32_t flags)
{
    const struct hilum_codec *codec = (const struct hilum_codec *)(const void *)c->cap;
    for (const struct hilum_codec_syntax *s = codec->syntaxes; s->uid; s++)
        if (strcmp(s->uid, uid) == 0 && (s->flags & flags) == flags)
            return s;
    return NULL;
}

/* ---- route: one per method and pattern ---- */

/* "/a/{x}" and "/a/{y}" are one resource. Names of parameters do not count: the server could
 * not tell the two apart. */
static bool is_same_pattern(const char *a, const char *b)
{
    while (*a && *a == *b) {
        if (*a == '{') {
            a += strcspn(a, "}");
            b += strcspn(b, "}");
        }
        a += *a != 0;
        b += *b != 0;
    }
    return *a == *b;
}

/* `methods` is a list joined by ','. */
static bool has_method(const char *methods, const char *method, size_t n)
{
    for (const char *at = methods; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && strncmp(at, method, n) == 0)
            return true;
    return false;
}

static bool share_a_method(const char *a, const char *b)
{
    for (const char *at = a; *at; at += strcspn(at, ","), at += *at == ',')
        if (has_method(b, at, strcspn(at, ",")))
            return true;
    return false;
}

/* A route asks for a permission, or says whom it is for: forgetting must not open it. */
static hilum_rc check_route(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    const struct hilum_route *route = (const struct hilum_route *)(const void *)cap;
    if (route->pattern[0] != '/')
        return hl_fail(HILUM_EINVAL, "route \"%s\": pattern %s: expected a leading '/'", cap->name,
                       route->pattern);
    if (!route->permission && !(route->flags & (HILUM_ROUTE_ANONYMOUS | HILUM_ROUTE_ADMITTED)))
        return hl_fail(HILUM_EINVAL, "route \"%s\": permission is missing", cap->name);
    const struct hilum_self *peer;
    for (size_t i = 0; (peer = hl_peer(plugin, i)); i++) {
        for (struct capability *c = peer->caps; c; c = c->next) {
            const struct hilum_route *other = (const struct hilum_route *)(const void *)c->cap;
            if (c->cap->kind == HILUM_CAP_ROUTE &&
                is_same_pattern(route->pattern, other->pattern) &&
                share_a_method(route->methods, other->methods))
                return hl_fail(HILUM_EEXISTS,
                               "route %s %s is served by plugins %s and %s; remove one",
                               route->methods, route->pattern, c->owner->id, plugin->id);
        }
    }
    return HILUM_OK;
}

/* ---- the table ---- */

#define MUST(type, member)                                                                         \
    {                                                                                              \
        offsetof(struct type, member), #member                                                     \
    }
#define UP_TO(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))

/* clang-format off */
static const struct must service[] = {MUST(hilum_service, sop_classes), MUST(hilum_service, handle), {0, NULL}};
static const struct must codec[] = {MUST(hilum_codec, syntaxes), MUST(hilum_codec, info),
                                    MUST(hilum_codec, decode), {0, NULL}};
static const struct must route[] = {MUST(hilum_route, methods), MUST(hilum_route, pattern),
                                    MUST(hilum_route, run), {0, NULL}};
static const struct must hl7[] = {MUST(hilum_hl7, accepts), MUST(hilum_hl7, receive), {0, NULL}};
static const struct must renderer[] = {MUST(hilum_renderer, modes), MUST(hilum_renderer, media_types),
                                       MUST(hilum_renderer, open), MUST(hilum_renderer, render),
                                       MUST(hilum_renderer, close), {0, NULL}};
static const struct must operator_[] = {MUST(hilum_operator, plan), MUST(hilum_operator, apply), {0, NULL}};
static const struct must report[] = {MUST(hilum_report, media_type), MUST(hilum_report, write), {0, NULL}};
static const struct must auth[] = {MUST(hilum_auth, check), {0, NULL}};
static const struct must notifier[] = {MUST(hilum_notifier, deliver), {0, NULL}};
static const struct must carrier[] = {MUST(hilum_carrier, send), MUST(hilum_carrier, fetch), {0, NULL}};
static const struct must nothing[] = {{0, NULL}};

static const struct kind kinds[] = {
    /*                     name       preview isolatable size and members                          */
    [HILUM_CAP_STORE]    = {"store",    false, false, sizeof(struct hilum_cap), nothing, NULL},
    [HILUM_CAP_DATABASE] = {"database", false, false, sizeof(struct hilum_cap), nothing, NULL},
    [HILUM_CAP_SERVICE]  = {"service",  false, false, UP_TO(hilum_service, handle), service, check_service},
    [HILUM_CAP_CODEC]    = {"codec",    false, true,  UP_TO(hilum_codec, encode), codec, check_codec},
    [HILUM_CAP_ROUTE]    = {"route",    false, true,  UP_TO(hilum_route, run), route, check_route},
    [HILUM_CAP_HL7]      = {"hl7",      true,  true,  UP_TO(hilum_hl7, compose), hl7, NULL},
    [HILUM_CAP_RENDERER] = {"renderer", true,  true,  UP_TO(hilum_renderer, close), renderer, NULL},
    [HILUM_CAP_OPERATOR] = {"operator", true,  true,  UP_TO(hilum_operator, apply), operator_, NULL},
    [HILUM_CAP_REPORT]   = {"report",   true,  true,  UP_TO(hilum_report, parse), report, NULL},
    [HILUM_CAP_AUTH]     = {"auth",     true,  false, UP_TO(hilum_auth, change), auth, NULL},
    [HILUM_CAP_NOTIFIER] = {"notifier", true,  false, UP_TO(hilum_notifier, deliver), notifier, NULL},
    [HILUM_CAP_CARRIER]  = {"carrier",  true,  false, UP_TO(hilum_carrier, fetch), carrier, NULL},
};
/* clang-format on */
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const char *hl_cap_kind_name(uint32_t kind)
{
    return kind < N_KINDS ? kinds[kind].name : NULL;
}

bool hl_cap_kind_is_preview(uint32_t kind)
{
    return kind < N_KINDS && kinds[kind].is_preview;
}

bool hl_cap_kind_is_isolatable(uint32_t kind)
{
    return kind < N_KINDS && kinds[kind].is_isolatable;
}

uint32_t hl_cap_kind(const char *name, size_t n)
{
    for (uint32_t kind = 1; kind < N_KINDS; kind++)
        if (strlen(kinds[kind].name) == n && strncmp(kinds[kind].name, name, n) == 0)
            return kind;
    return 0;
}

/* Length first, then members, then names: each relies on the one before. */
hilum_rc hl_cap_check(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    const struct kind *kind = &kinds[cap->kind];
    if (cap->size < kind->size)
        return hl_fail(HILUM_EINVAL,
                       "%s \"%s\": expected a table of at least %u bytes, found size = %u",
                       kind->name, cap->name, kind->size, cap->size);
    for (const struct must *must = kind->musts; must->member; must++) {
        const void *member;
        memcpy(&member, (const char *)cap + must->offset, sizeof member);
        if (!member)
            return hl_fail(HILUM_EINVAL, "%s \"%s\": %s is missing", kind->name, cap->name,
                           must->member);
    }
    hilum_rc rc = check_name(plugin, cap);
    return rc == HILUM_OK && kind->check ? kind->check(plugin, cap) : rc;
}

/* ---- look-ups that go by more than a name ---- */

/* Each provider of a kind: next(NULL) is the first. */
static struct capability *next_of(const struct hl_plugins *host, uint32_t kind, size_t *at,
                                  struct capability *c)
{
    c = c ? c->next : NULL;
    for (;; c = c->next) {
        while (!c && *at < host->n) {
            const struct hilum_self *plugin = host->plugins[(*at)++];
            c = hl_plugin_is_ready(plugin) ? plugin->caps : NULL;
        }
        if (!c || c->cap->kind == kind)
            return c;
    }
}

/* Lower ranks come first; equal ones in the order of the configuration. Lists are short: counting beats
 * keeping them sorted. */
static struct capability *
pick(const struct hl_plugins *host, uint32_t kind, uint32_t i,
     bool (*rank)(const struct capability *c, const void *arg, int64_t *out), const void *arg)
{
    int64_t floor = INT64_MIN, mine;
    size_t floor_place = 0; /* those of rank `floor` up to here have been counted */
    for (uint32_t n = 0;; n++) {
        struct capability *best = NULL, *c = NULL;
        int64_t best_rank = INT64_MAX;
        size_t best_place = 0, place = 0;
        for (size_t at = 0; (c = next_of(host, kind, &at, c));) {
            place++;
            if (!rank(c, arg, &mine) || mine < floor || (mine == floor && place <= floor_place))
                continue;
            if (!best || mine < best_rank) {
                best = c;
                best_rank = mine;
                best_place = place;
            }
        }
        if (!best || n == i)
            return best;
        floor = best_rank;
        floor_place = best_place;
    }
}

static bool chain_rank(const struct capability *c, const void *arg, int64_t *out)
{
    (void)arg;
    *out = c->cap->kind == HILUM_CAP_AUTH ? ((const struct hilum_auth *)(const void *)c->cap)->order
                                          : 0;
    return true;
}

struct capability *hl_cap_nth(const struct hl_plugins *host, uint32_t kind, uint32_t i)
{
    return pick(host, kind, i, chain_rank, NULL);
}

struct codec_wish {
    const char *uid;
    uint32_t flags;
};

/* Higher priorities first: a vendor's codec says a higher one to be asked before ours. */
static bool codec_rank(const struct capability *c, const void *arg, int64_t *out)
{
    const struct codec_wish *wish = arg;
    const struct hilum_codec_syntax *syntax = syntax_of(c, wish->uid, wish->flags);
    if (syntax)
        *out = -(int64_t)syntax->priority;
    return syntax != NULL;
}

/* The table is a shim in the host's arena, so it may be used after the lock is gone, whatever
 * is swapped meanwhile. */
const struct hilum_codec *hl_plugins_codec_for(struct hl_plugins *plugins,
                                               const char *transfer_syntax, uint32_t flags,
                                               uint32_t rank, void **instance)
{
    const struct codec_wish wish = {transfer_syntax, flags};
    pthread_rwlock_rdlock(&plugins->registry);
    const struct capability *c = pick(plugins, HILUM_CAP_CODEC, rank, codec_rank, &wish);
    pthread_rwlock_unlock(&plugins->registry);
    if (!c)
        return NULL;
    *instance = c->shown_instance;
    return (const struct hilum_codec *)(const void *)c->shown;
}
