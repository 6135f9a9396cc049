/* The table of keys. SPDX-License-Identifier: Apache-2.0 */
#include "core/config/schema.h"

#include <string.h>

#define LIST     HL_OPTION_LIST
#define REQUIRED HL_OPTION_REQUIRED
#define RELOAD   HL_OPTION_RELOAD
#define REPLACE  HL_OPTION_REPLACE
#define OR_ZERO  HL_OPTION_OR_ZERO
#define DAY      INT64_C(86400000)
#define KIB      (INT64_C(1) << 10)
#define MIB      (INT64_C(1) << 20)
#define GIB      (INT64_C(1) << 30)

/* clang-format off */
/* path, kind, flags, default, choices, min, max, help */
const struct hl_option hl_options[] = {
    {"dicom", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "The DICOM face: who we are, where we listen, what we put up with."},
    {"dicom.aet", HL_KIND_AET, RELOAD, "HILUM", NULL, 0, 0, "Our AE title: called by peers, calling towards them."},
    {"dicom.aets", HL_KIND_AET, LIST | RELOAD, NULL, NULL, 0, 0, "Further titles we answer to."},
    {"dicom.listen", HL_KIND_LISTEN, LIST | REPLACE, "( \"127.0.0.1:11112\" )", NULL, 0, 0, "Where we listen: \"ADDRESS:PORT\", \"[::]:104\" for IPv6 and IPv4, or a group with TLS."},
    {"dicom.listen[].address", HL_KIND_LISTEN, REQUIRED, NULL, NULL, 0, 0, "\"ADDRESS:PORT\" of this listener."},
    {"dicom.listen[].tls", HL_KIND_TLS, RELOAD, "false", NULL, 0, 0, "TLS on this listener: true takes dicom.tls, a group names other files."},
    {"dicom.listen[].tls.certificate", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Our certificate, PEM, with intermediates."},
    {"dicom.listen[].tls.key", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Its private key, PEM."},
    {"dicom.listen[].tls.ca", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "PEM bundle that peers' certificates must chain to."},
    {"dicom.listen[].tls.require_peer_certificate", HL_KIND_BOOL, RELOAD, "false", NULL, 0, 0, "Refuse peers without a valid certificate."},
    {"dicom.unknown_peers", HL_KIND_CHOICE, RELOAD, "refuse", "refuse|accept", 0, 0, "Peers not in `peers`: \"refuse\" them, or \"accept\" echo and store (from loopback find, move and get too)."},
    {"dicom.accept_unknown_sop_classes", HL_KIND_BOOL, RELOAD, "false", NULL, 0, 0, "Store SOP classes the standard does not name (private ones)."},
    {"dicom.private_sop_classes", HL_KIND_SYNTAX, LIST | RELOAD, NULL, NULL, 0, 0, "UIDs of private SOP classes to store, when not all unknown ones are."},
    {"dicom.trace", HL_KIND_INT, RELOAD, "20", NULL, 0, 1000, "Associations remembered per peer for `hilum peer trace`."},
    {"dicom.tls", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "Certificates for every TLS connection that names none of its own."},
    {"dicom.tls.certificate", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Our certificate, PEM, with intermediates."},
    {"dicom.tls.key", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Its private key, PEM."},
    {"dicom.tls.ca", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "PEM bundle that peers' certificates must chain to."},
    {"dicom.tls.require_peer_certificate", HL_KIND_BOOL, RELOAD, "false", NULL, 0, 0, "Refuse peers without a valid certificate."},
    {"dicom.limits", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "What one peer, and all of them together, may take."},
    {"dicom.limits.max_associations", HL_KIND_INT, RELOAD, "500", NULL, 1, 100000, "Associations at once; one more is refused as temporarily too many."},
    {"dicom.limits.max_per_address", HL_KIND_INT, RELOAD, "100", NULL, 1, 100000, "Associations at once from one address."},
    {"dicom.limits.max_passcode_failures", HL_KIND_INT, RELOAD, "20", NULL, 1, 1000000, "Wrong passcodes (User Identity) of one address in five minutes; then it is refused for the rest of them."},
    {"dicom.limits.max_connecting", HL_KIND_INT, RELOAD, "400", NULL, 1, 100000, "Connections at once that have not yet asked for an association."},
    {"dicom.limits.negotiate_timeout", HL_KIND_MS, RELOAD, "10s", NULL, 100, 30 * DAY, "From the connection to its whole association request, TLS included."},
    {"dicom.limits.pdu_timeout", HL_KIND_MS, RELOAD, "60s", NULL, 100, 30 * DAY, "From the first byte of a PDU to its last."},
    {"dicom.limits.idle_timeout", HL_KIND_MS, RELOAD, "10m", NULL, 100, 30 * DAY, "An association without a byte is ended after this."},
    {"dicom.limits.write_timeout", HL_KIND_MS, RELOAD, "60s", NULL, 100, 30 * DAY, "A peer that takes no byte for this long is given up."},
    {"dicom.limits.min_rate", HL_KIND_BYTES, RELOAD, "1KiB", NULL, 0, GIB, "Bytes a second a message in progress must make; 0: none."},
    {"dicom.limits.max_pdu", HL_KIND_BYTES, RELOAD, "131078", NULL, 4 * KIB, MIB, "PDU size we offer to receive."},
    {"dicom.limits.max_threads", HL_KIND_INT, 0, "64", NULL, 1, 1024, "Messages in work at once; one that waits for its peer does not count."},

    {"roles", HL_KIND_GROUPS, RELOAD, NULL, NULL, 0, 0, "What people may do, by role; one of a shipped role's name replaces it. Merged by name over the files."},
    {"roles[].name", HL_KIND_TEXT, REQUIRED | RELOAD, NULL, NULL, 0, 0, "Its name, as accounts have it; without a comma."},
    {"roles[].allow", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "Actions: ( \"find\", \"retrieve\" ); \"*\" is all. Default: as the shipped role of that name."},
    {"roles[].studies", HL_KIND_GROUPS, RELOAD, NULL, NULL, 0, 0, "Which studies the role is for: those any of these groups holds of. Default: all."},
    {"roles[].studies[].departments", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "A series is of one of these (InstitutionalDepartmentName); \"own\": the account's."},
    {"roles[].studies[].referring", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "Referred by one of these physicians; \"own\": the account's display name, \"WANG^LI\"."},
    {"roles[].studies[].labels", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "It carries one of these labels."},
    {"roles[].studies[].without_labels", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "It carries none of these labels."},
    {"roles[].studies[].senders", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "One of these peers or accounts sent some of it; \"own\": who asks."},
    {"access", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "Who sees what."},
    {"access.break_glass", HL_KIND_MS, RELOAD, "4h", NULL, 1000, 0, "How long a broken glass shows somebody a study his roles withhold."},

    {"peers", HL_KIND_GROUPS, RELOAD, NULL, NULL, 0, 0, "The DICOM systems we know. Merged by name over the files."},
    {"peers[].name", HL_KIND_NAME, REQUIRED | RELOAD, NULL, NULL, 0, 0, "What rules, routes and people call it."},
    {"peers[].enabled", HL_KIND_BOOL, RELOAD, "true", NULL, 0, 0, "false: as if it were not listed."},
    {"peers[].aet", HL_KIND_AET, REQUIRED | RELOAD, NULL, NULL, 0, 0, "Its AE title."},
    {"peers[].own_aet", HL_KIND_AET, RELOAD, NULL, NULL, 0, 0, "Our title when we call it; default dicom.aet."},
    {"peers[].host", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Its name or address; also where it calls from if no cidr is given."},
    {"peers[].port", HL_KIND_INT, RELOAD, "104", NULL, 1, 65535, "Its port."},
    {"peers[].cidr", HL_KIND_CIDR, LIST | RELOAD, NULL, NULL, 0, 0, "Addresses it may call from: ( \"10.0.0.0/8\", \"fd00::/8\" )."},
    {"peers[].called_aets", HL_KIND_AET, LIST | RELOAD, NULL, NULL, 0, 0, "Titles of ours it may call; default all."},
    {"peers[].services", HL_KIND_CHOICE, LIST | RELOAD, "( \"echo\", \"store\", \"find\", \"move\", \"get\" )", "echo|store|find|move|get", 0, 0, "What it may ask of us."},
    {"peers[].roles", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "Roles that narrow its services, and the studies it sees; default none, which narrows nothing."},
    {"peers[].departments", HL_KIND_TEXT, LIST | RELOAD, NULL, NULL, 0, 0, "Departments it stands in: \"own\" in a role's studies."},
    {"peers[].transfer_syntaxes", HL_KIND_SYNTAX, LIST | RELOAD, NULL, NULL, 0, 0, "Preference, best first, of what we accept from it and send to it; default as proposed and as stored."},
    {"peers[].transfer_syntaxes_only", HL_KIND_BOOL, RELOAD, "false", NULL, 0, 0, "true: no other syntax is accepted from it or sent to it."},
    {"peers[].lossy", HL_KIND_BOOL, RELOAD, "false", NULL, 0, 0, "true: images are encoded to the lossy syntaxes of its list and leave as objects of their own, derived from the stored ones."},
    {"peers[].tls", HL_KIND_TLS, RELOAD, "false", NULL, 0, 0, "Connect to it with TLS: true takes dicom.tls, a group names other files."},
    {"peers[].tls.certificate", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Our certificate towards it, PEM."},
    {"peers[].tls.key", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "Its private key, PEM."},
    {"peers[].tls.ca", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "PEM bundle its certificate must chain to."},
    {"peers[].tls.server_name", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Name its certificate must carry; default host."},
    {"peers[].url", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Its DICOMweb service, \"https://pacs.example/dicom-web\" (plugin dicomweb-client), or what the carrier named by via takes."},
    {"peers[].token_file", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "File with the bearer token for url."},
    {"peers[].user", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "User at url, where it takes a password."},
    {"peers[].password_file", HL_KIND_FILE, RELOAD, NULL, NULL, 0, 0, "File with that password."},
    {"peers[].via", HL_KIND_NAME, RELOAD, NULL, NULL, 0, 0, "How it is sent to: \"dimse\", \"dicomweb\" or the name of a plugin's carrier; default dimse if it has a host."},
    {"peers[].certificate_sha256", HL_KIND_SHA256, RELOAD, NULL, NULL, 0, 0, "Fingerprint of the certificate it must show when it calls; replaces the address check."},
    {"peers[].certificate_subject", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Subject of the certificate it must show, as `hilum peer trace` tells it (RFC 2253); replaces the address check."},
    {"peers[].certificate_san", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "An alternative name of the certificate it must show: a DNS name, an address; replaces the address check."},
    {"peers[].default_issuer", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Issuer of its patient IDs that name none; default identity.default_issuer."},
    {"peers[].charset", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "What its undeclared or misdeclared text really is: \"GB18030\", \"ISO_IR 100\"."},
    {"peers[].max_associations", HL_KIND_INT, RELOAD, "0", NULL, 0, 100000, "Associations at once from it; 0: no limit of its own."},
    {"peers[].max_pdu", HL_KIND_BYTES, OR_ZERO | RELOAD, "0", NULL, 4 * KIB, MIB, "PDU size we offer it; 0: dicom.limits.max_pdu."},
    {"peers[].connect_timeout", HL_KIND_MS, RELOAD, "10s", NULL, 100, DAY, "To reach it and agree on an association."},
    {"peers[].connections", HL_KIND_INT, RELOAD, NULL, NULL, 1, 64, "Deliveries to it at once; default outbox.connections."},
    {"peers[].retry_first", HL_KIND_MS, RELOAD, NULL, NULL, 10, 0, "Pause after the first failure; default outbox.retry_first."},
    {"peers[].retry_max", HL_KIND_MS, RELOAD, NULL, NULL, 10, 0, "Longest pause; default outbox.retry_max."},
    {"peers[].attempts", HL_KIND_INT, RELOAD, NULL, NULL, 0, 1000000, "Attempts before a delivery is given to a person; default outbox.attempts."},
    {"peers[].idle", HL_KIND_MS, RELOAD, NULL, NULL, 0, DAY, "Keep an idle association to it; default outbox.idle."},

    {"storage", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "Where objects live and how they are taken in."},
    {"storage.data", HL_KIND_TEXT, 0, NULL, NULL, 0, 0, "The data directory; --data overrides it."},
    {"storage.default_store", HL_KIND_NAME, 0, "fs", NULL, 0, 0, "The store that takes new objects."},
    {"storage.min_free", HL_KIND_BYTES, RELOAD, "1GiB", NULL, 0, 0, "Below this much free space new objects are refused; reading goes on."},
    {"storage.max_object", HL_KIND_BYTES, RELOAD, "8GiB", NULL, KIB, 0, "Largest object taken."},
    {"storage.duplicates", HL_KIND_CHOICE, RELOAD, "keep-first", "keep-first|replace|version|quarantine", 0, 0, "Same SOP Instance UID, other content: what to do."},
    {"storage.study_idle", HL_KIND_MS, RELOAD, "60s", NULL, 0, 0, "A study without a new object for this long is complete."},
    {"storage.erase_grace", HL_KIND_MS, RELOAD, "24h", NULL, 0, 0, "Deleted objects stay on the medium for this long."},
    {"storage.keep_original", HL_KIND_MS, RELOAD, "7d", NULL, 0, 0, "What was compressed by rule stays as it came beside it for this long."},
    {"storage.memory_budget", HL_KIND_BYTES, 0, "64MiB", NULL, 256 * KIB, 0, "Memory for buffers of all objects on their way in."},
    {"storage.frame_cache", HL_KIND_BYTES, 0, "256MiB", NULL, 0, 0, "Decoded frames, and those encoded for web clients, kept in memory for who asks next; 0: none."},
    {"storage.header_limit", HL_KIND_BYTES, RELOAD, "4MiB", NULL, 64 * KIB, GIB, "Memory for the catalogued header of one object."},

    {"trust", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "Which files of plugins are opened, beyond owner and mode."},
    {"trust.plugins", HL_KIND_CHOICE, 0, "any", "any|listed", 0, 0, "\"listed\": from outside our own folder only what sha256 of its entry or a signature vouches for."},
    {"trust.keys", HL_KIND_FILE, LIST, NULL, NULL, 0, 0, "Ed25519 public keys, PEM; <file>.sig beside a plugin must be by one of them."},
    {"worker_program", HL_KIND_TEXT, 0, NULL, NULL, 0, 0, "The program that runs isolated plugins; default hilum-worker beside our plugin folder."},
    {"plugins", HL_KIND_GROUPS, 0, NULL, NULL, 0, 0, "The plugins to open; nothing else is opened. Merged by name over the files."},
    {"plugins[].name", HL_KIND_NAME, REQUIRED, NULL, NULL, 0, 0, "Its name, and its file in our own folder."},
    {"plugins[].plugin", HL_KIND_NAME, 0, NULL, NULL, 0, 0, "Which plugin this is, where one is used twice under two names; default: name."},
    {"plugins[].enabled", HL_KIND_BOOL, 0, "true", NULL, 0, 0, "false: as if it were not listed."},
    {"plugins[].file", HL_KIND_FILE, 0, NULL, NULL, 0, 0, "The .so, if it is not in our own folder."},
    {"plugins[].required", HL_KIND_BOOL, 0, "false", NULL, 0, 0, "hilumd does not start without it."},
    {"plugins[].isolation", HL_KIND_CHOICE, 0, "none", "none|process|process-weak", 0, 0, "\"process\": in workers of its own, without network and files; \"process-weak\": also where the kernel has no seccomp or Landlock."},
    {"plugins[].limits", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "What an isolated plugin may take."},
    {"plugins[].limits.workers", HL_KIND_INT, 0, "0", NULL, 0, 64, "Its processes, which is also its calls at once; 0: as many as cores."},
    {"plugins[].limits.deadline", HL_KIND_MS, 0, "10s", NULL, 1, DAY, "One call; a worker that takes longer is ended."},
    {"plugins[].limits.memory", HL_KIND_BYTES, 0, "2GiB", NULL, 16 * MIB, 0, "Address space of one worker."},
    {"plugins[].limits.crashes", HL_KIND_INT, 0, "5", NULL, 1, 100, "So many within ten minutes, and over a tenth of its calls, put it into quarantine."},
    {"plugins[].limits.read", HL_KIND_TEXT, LIST, NULL, NULL, 0, 0, "Files and folders it may read, absolute; default none but the system's libraries."},
    {"plugins[].trust", HL_KIND_CHOICE, 0, NULL, "in-process", 0, 0, "Allow a third party's plugin that cannot be isolated."},
    {"plugins[].allow_preview", HL_KIND_BOOL, 0, "false", NULL, 0, 0, "Accept that it uses interfaces which are not frozen yet."},
    {"plugins[].sha256", HL_KIND_SHA256, LIST, NULL, NULL, 0, 0, "The file must be one of these; `hilum plugin list NAME` shows its own."},
    {"plugins[].programs", HL_KIND_FILE, LIST, NULL, NULL, 0, 0, "Programs it may have run, by absolute path; no others."},
    {"plugins[].options", HL_KIND_FREE, 0, NULL, NULL, 0, 0, "Its own options; see its README."},

    {"routes", HL_KIND_GROUPS, RELOAD, NULL, NULL, 0, 0, "Forwarding that needs no Lua."},
    {"routes[].name", HL_KIND_NAME, RELOAD, NULL, NULL, 0, 0, "What traces call it; default file and line."},
    {"routes[].enabled", HL_KIND_BOOL, RELOAD, "true", NULL, 0, 0, "false: as if it were not listed."},
    {"routes[].where", HL_KIND_TEXT, RELOAD, "", NULL, 0, 0, "Which objects, \"Modality=CT\"; empty: all."},
    {"routes[].send", HL_KIND_PEER, LIST | REQUIRED | RELOAD, NULL, NULL, 0, 0, "Names of the peers that get them."},
    {"routes[].via", HL_KIND_NAME, RELOAD, NULL, NULL, 0, 0, "How: \"dimse\", \"dicomweb\" or the name of a plugin's carrier; default as the peer says."},

    {"schedules", HL_KIND_GROUPS, RELOAD, NULL, NULL, 0, 0, "Times with names: rules hear of them as schedule.due."},
    {"schedules[].name", HL_KIND_NAME, REQUIRED | RELOAD, NULL, NULL, 0, 0, "What rules ask for: where = \"schedule=nightly\"."},
    {"schedules[].enabled", HL_KIND_BOOL, RELOAD, "true", NULL, 0, 0, "false: as if it were not listed."},
    {"schedules[].every", HL_KIND_MS, RELOAD, "24h", NULL, 1000, 0, "How often; with `at` in whole days."},
    {"schedules[].at", HL_KIND_TIME, RELOAD, "", NULL, 0, 0, "Time of day, local, \"02:30\"; empty: counted from the last time."},

    {"script", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "Limits of Lua rules."},
    {"script.memory", HL_KIND_BYTES, RELOAD, "16MiB", NULL, KIB, GIB, "Memory of one Lua state."},
    {"script.cpu", HL_KIND_MS, RELOAD, "200ms", NULL, 1, 60000, "Time of one call of a rule."},
    {"script.states", HL_KIND_INT, 0, "2", NULL, 1, 64, "Lua states, and so rules that run at once."},

    {"outbox", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "Delivery to peers; a peer's own values go first."},
    {"outbox.retry_first", HL_KIND_MS, RELOAD, "10s", NULL, 10, 0, "Pause after the first failure; doubled each time."},
    {"outbox.retry_max", HL_KIND_MS, RELOAD, "1h", NULL, 10, 0, "Longest pause."},
    {"outbox.attempts", HL_KIND_INT, RELOAD, "0", NULL, 0, 1000000, "Attempts before a delivery is given to a person; 0: without end."},
    {"outbox.connections", HL_KIND_INT, RELOAD, "1", NULL, 1, 64, "Associations at once to one peer."},
    {"outbox.max_connections", HL_KIND_INT, 0, "32", NULL, 1, 1024, "Associations at once to all peers."},
    {"outbox.idle", HL_KIND_MS, RELOAD, "5s", NULL, 0, DAY, "Keep an idle association for the next object."},

    {"identity", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "Who a patient is."},
    {"identity.default_issuer", HL_KIND_TEXT, RELOAD, "", NULL, 0, 0, "Issuer of patient IDs that name none."},

    {"journal", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "What happened and what rules decided, for `hilum explain`."},
    {"journal.keep", HL_KIND_MS, RELOAD, "90d", NULL, 0, 0, "Pruned after this; 0: never."},
    {"audit", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "Who did what, with before and after."},
    {"audit.keep", HL_KIND_MS, RELOAD, "0", NULL, 0, 0, "Pruned after this; 0: never."},
    {"audit.seals", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "File that seals on it are appended to, best on another machine's disk; default audit-seals.jsonl in the data directory."},
    {"audit.seal_every", HL_KIND_MS, RELOAD, "5m", NULL, 1000, 0, "How often new rows are sealed."},

    {"log", HL_KIND_GROUP, RELOAD, NULL, NULL, 0, 0, "The operational log; never patient data."},
    {"log.level", HL_KIND_CHOICE, RELOAD, "info", "debug|info|warn|error", 0, 0, "The least important line that is written."},
    {"log.format", HL_KIND_CHOICE, RELOAD, "json", "json|text", 0, 0, "One JSON object a line, or text for people."},
    {"log.file", HL_KIND_TEXT, RELOAD, NULL, NULL, 0, 0, "Appended to; default standard error."},

    {"control", HL_KIND_GROUP, 0, NULL, NULL, 0, 0, "The socket `hilum` talks to."},
    {"control.socket", HL_KIND_TEXT, 0, NULL, NULL, 0, 0, "Its path; default hilum.sock in the data directory."},
    {"control.mode", HL_KIND_MODE, 0, "0600", NULL, 0, 0, "Its permissions; who is let in is decided apart from them."},
};
/* clang-format on */
const size_t hl_options_count = sizeof hl_options / sizeof *hl_options;

/* Linear over some hundred rows: asked at start and reload, and by getters outside of hot
 * paths. */
const struct hl_option *hl_option_find(const char *path)
{
    for (size_t i = 0; i < hl_options_count; i++)
        if (strcmp(hl_options[i].path, path) == 0)
            return &hl_options[i];
    return NULL;
}

const char *hl_option_key_in(const struct hl_option *option, const char *path)
{
    size_t n = strlen(path);
    if (strncmp(option->path, path, n) != 0)
        return NULL;
    const char *key = option->path + n;
    if (n > 0 && *key++ != '.')
        return NULL;
    return *key && !strpbrk(key, ".[") ? key : NULL;
}
