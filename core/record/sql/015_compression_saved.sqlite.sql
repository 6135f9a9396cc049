-- Sums of compression are saved beside the objects, all in one line, as the rows of 009 are.
CREATE TRIGGER saved_compression_new AFTER INSERT ON compression
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (10, 1);
END;
CREATE TRIGGER saved_compression_more AFTER UPDATE ON compression
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (10, 1);
END;
