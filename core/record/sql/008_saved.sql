-- What is in the catalogue only, and not in the objects, is written beside them too. unsaved: rows that changed since
-- (kinds as in save.c; filled by triggers, 009). saved: what was read back from there, while a lost catalogue is made
-- again: the newest line of each thing.
CREATE TABLE unsaved (
    kind BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
) {norowid};
CREATE TABLE saved (
    kind BIGINT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL, -- of the log object it came from: the larger one counts
    line TEXT NOT NULL,
    new_id BIGINT NOT NULL DEFAULT 0,
    is_done BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, name)
) {norowid};
CREATE INDEX saved_open ON saved (kind, number, name) WHERE is_done = 0;
CREATE INDEX erasure_object ON erasure (store, object_key);
