-- An object that was compressed lies in two places for a while, in two syntaxes. transfer_syntax: of these bytes, '' where it is
-- the instance's; received_as: what was received, if that was compressed; tried: to which syntax it could not become smaller.
ALTER TABLE location ADD COLUMN transfer_syntax TEXT NOT NULL DEFAULT '';
ALTER TABLE location ADD COLUMN received_as TEXT NOT NULL DEFAULT '';
ALTER TABLE location ADD COLUMN tried TEXT NOT NULL DEFAULT '';
CREATE INDEX location_received_as ON location (instance) WHERE received_as <> '';
-- What compression by rule has saved, and what it cost.
CREATE TABLE compression (
    rule TEXT NOT NULL,
    syntax TEXT NOT NULL,
    done BIGINT NOT NULL,
    kept BIGINT NOT NULL, -- left as they were
    bytes_before BIGINT NOT NULL, -- of those done
    bytes_after BIGINT NOT NULL,
    work_us BIGINT NOT NULL, -- of all, encoding and proving
    last_us BIGINT NOT NULL,
    last_kept TEXT NOT NULL DEFAULT '', -- why the last one was left
    PRIMARY KEY (rule, syntax)
) {norowid};
