-- What people decided and what waits for them.
CREATE TABLE overlay (
    id {serial},
    seq BIGINT NOT NULL, -- version of the catalogue: all rows of one edit share it; the first is 2
    study BIGINT NOT NULL REFERENCES study (id),
    tag BIGINT NOT NULL,
    text TEXT, -- NULL: removed
    old_text TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    at_us BIGINT NOT NULL
);
CREATE INDEX overlay_study ON overlay (study, tag, seq);
CREATE INDEX overlay_seq ON overlay (seq);

CREATE TABLE conflict (
    id {serial},
    provisional BIGINT NOT NULL, -- patient; gone once it was the same person
    known BIGINT NOT NULL,
    differs TEXT NOT NULL, -- keywords, by comma
    state BIGINT NOT NULL DEFAULT 0, -- 0 open, 1 same person, 2 another person
    at_us BIGINT NOT NULL,
    who TEXT NOT NULL DEFAULT '',
    decided_us BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX conflict_open ON conflict (id) WHERE state = 0;

CREATE TABLE quarantine (
    id {serial},
    instance BIGINT NOT NULL REFERENCES instance (id),
    entry BIGINT NOT NULL DEFAULT 0, -- its instance.quarantined, for the plan that waits
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0, -- 0 open, 1 released, 2 discarded
    at_us BIGINT NOT NULL,
    who TEXT NOT NULL DEFAULT '',
    decided_us BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX quarantine_open ON quarantine (id) WHERE state = 0;
CREATE INDEX quarantine_instance ON quarantine (instance);

CREATE TABLE erasure (
    id {serial},
    store TEXT NOT NULL,
    object_key TEXT NOT NULL,
    due_us BIGINT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX erasure_due ON erasure (due_us, id);
