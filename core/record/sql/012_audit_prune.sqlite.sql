-- The audit record only grows, but for what is sealed and older than audit.keep: the kernel notes how far, and then it goes.
DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN OLD.id > coalesce((SELECT CAST(value AS INTEGER) FROM kv WHERE space = 'audit' AND name = 'pruned_to'), 0)
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
