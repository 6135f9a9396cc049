-- State 3 of an instance: an earlier version. What is not current is rare: these indexes stay small.
CREATE INDEX instance_other ON instance (uid, id) WHERE state <> 0;
CREATE INDEX instance_other_series ON instance (series) WHERE state <> 0;
