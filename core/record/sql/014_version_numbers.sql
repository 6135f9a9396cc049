-- The number of a content under its UID, once others came before it; 0: its place among those that are there. A rebuild knows
-- what is there only, and the number is what people wrote down.
ALTER TABLE instance ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
