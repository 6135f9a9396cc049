-- Search keys made from names are made again when the way they are folded changes: by number, in the background. A
-- row goes when its table is done.
CREATE TABLE derivation (
    level BIGINT PRIMARY KEY, -- 1 patient, 2 study, 3 series
    done_id BIGINT NOT NULL
);
INSERT INTO derivation VALUES (1, 0), (2, 0), (3, 0);
