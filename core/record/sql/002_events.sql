-- What happened, what is to be done, who did it.
CREATE TABLE journal (
    id {serial},
    event TEXT NOT NULL,
    study_uid TEXT NOT NULL DEFAULT '',
    instance BIGINT NOT NULL DEFAULT 0,
    fields TEXT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0, -- 0 to be handled, 1 handled
    due_us BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    failed TEXT NOT NULL DEFAULT '', -- hooks that are to run again, by line
    created_us BIGINT NOT NULL
);
CREATE INDEX journal_due ON journal (id) WHERE state = 0;
CREATE INDEX journal_study ON journal (study_uid, id);

CREATE TABLE hook_trace (
    id {serial},
    entry BIGINT NOT NULL,
    hook TEXT NOT NULL,
    version TEXT NOT NULL DEFAULT '',
    verdict BIGINT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    plan TEXT NOT NULL DEFAULT '',
    at_us BIGINT NOT NULL
);
CREATE INDEX hook_trace_entry ON hook_trace (entry);

CREATE TABLE job (
    id {serial},
    type TEXT NOT NULL,
    lane TEXT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0, -- 0 waiting, 1 running, 2 done, 3 failed, 4 cancelled
    priority BIGINT NOT NULL DEFAULT 0,
    due_us BIGINT NOT NULL DEFAULT 0,
    lease_us BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    entry BIGINT, -- journal entry, rule and ordinal it was planned by; NULL: by a person or the kernel
    rule TEXT,
    ordinal BIGINT,
    instance BIGINT NOT NULL DEFAULT 0,
    study_uid TEXT NOT NULL DEFAULT '',
    as_of BIGINT NOT NULL DEFAULT 0,
    arguments TEXT NOT NULL,
    result TEXT NOT NULL DEFAULT '',
    created_us BIGINT NOT NULL,
    ended_us BIGINT NOT NULL DEFAULT 0,
    UNIQUE (entry, rule, ordinal)
);
CREATE INDEX job_claim ON job (lane, priority, due_us, id) WHERE state = 0;
CREATE INDEX job_lane ON job (lane, due_us) WHERE state = 0;
CREATE INDEX job_leased ON job (lease_us) WHERE state = 1;
CREATE INDEX job_failed ON job (id) WHERE state = 3;
CREATE INDEX job_study ON job (study_uid, id);

CREATE TABLE label (
    study BIGINT NOT NULL REFERENCES study (id),
    label TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (study, label)
) {norowid};

CREATE TABLE audit (
    id {serial},
    at_us BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    what TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT
);
CREATE INDEX audit_what ON audit (what, id);

CREATE TABLE refusal (
    reference TEXT PRIMARY KEY,
    at_us BIGINT NOT NULL,
    peer TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL
) {norowid};
CREATE INDEX refusal_age ON refusal (at_us);

CREATE TABLE kv (
    space TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, name)
) {norowid};
