-- What was received is no longer there: its digest, which tells a resend, is written beside the objects.
CREATE TRIGGER saved_location_compressed AFTER INSERT ON location
WHEN NEW.received_as <> '' AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.instance);
END;
