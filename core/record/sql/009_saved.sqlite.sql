-- Whatever changes what the objects do not tell marks it as unsaved, in the same transaction. Silent while a lost catalogue
-- is made again: what comes from the log need not go there.
CREATE TRIGGER saved_instance_new AFTER INSERT ON instance
WHEN (NEW.state <> 0 OR NEW.is_held <> 0 OR EXISTS (SELECT 1 FROM instance i WHERE i.uid = NEW.uid AND i.state <> 0)) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.id);
    INSERT OR IGNORE INTO unsaved SELECT 1, id FROM instance WHERE uid = NEW.uid AND state = 0;
END;
CREATE TRIGGER saved_instance_state AFTER UPDATE OF state, is_held ON instance
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.id);
END;
CREATE TRIGGER saved_location AFTER UPDATE OF state ON location
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.instance);
END;
CREATE TRIGGER saved_quarantine_new AFTER INSERT ON quarantine
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.instance);
END;
CREATE TRIGGER saved_quarantine_state AFTER UPDATE ON quarantine
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (1, NEW.instance);
END;
CREATE TRIGGER saved_patient_new AFTER INSERT ON patient
WHEN (NEW.standing IN (1, 2)) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (2, NEW.id);
END;
CREATE TRIGGER saved_patient_edit AFTER UPDATE OF standing, patient_id, issuer, name, birth_date, birth_time, sex, other_ids, other_names, ethnic_group,
    comments ON patient
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (2, NEW.id);
END;
CREATE TRIGGER saved_patient_gone AFTER DELETE ON patient
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (2, OLD.id);
END;
CREATE TRIGGER saved_study_new AFTER INSERT ON study
WHEN (EXISTS (SELECT 1 FROM patient p WHERE p.id = NEW.patient AND p.standing IN (1, 2))) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (3, NEW.id);
END;
CREATE TRIGGER saved_study_moved AFTER UPDATE OF patient ON study
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (3, NEW.id);
    INSERT OR IGNORE INTO unsaved VALUES (2, NEW.patient);
END;
CREATE TRIGGER saved_overlay AFTER INSERT ON overlay
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (3, NEW.study);
    INSERT OR IGNORE INTO unsaved SELECT 2, patient FROM study WHERE id = NEW.study;
END;
CREATE TRIGGER saved_label AFTER INSERT ON label
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (3, NEW.study);
END;
CREATE TRIGGER saved_former_new AFTER INSERT ON former_identity
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (4, NEW.id), (2, NEW.patient);
END;
CREATE TRIGGER saved_former_moved AFTER UPDATE OF patient ON former_identity
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (4, NEW.id), (2, NEW.patient);
END;
CREATE TRIGGER saved_conflict_new AFTER INSERT ON conflict
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (5, NEW.id), (2, NEW.known);
END;
CREATE TRIGGER saved_conflict_state AFTER UPDATE ON conflict
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (5, NEW.id), (2, NEW.known);
END;
CREATE TRIGGER saved_job_new AFTER INSERT ON job
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (6, NEW.id);
END;
CREATE TRIGGER saved_job_state AFTER UPDATE OF state ON job
WHEN (NEW.state <> OLD.state AND (NEW.state > 1 OR OLD.state > 1)) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (6, NEW.id);
END;
CREATE TRIGGER saved_job_heir AFTER UPDATE OF instance ON job
WHEN NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (6, NEW.id);
END;
CREATE TRIGGER saved_job_released AFTER UPDATE OF due_us ON job
WHEN (OLD.due_us = 9223372036854775807 AND NEW.due_us <> OLD.due_us) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (6, NEW.id);
END;
CREATE TRIGGER saved_journal_new AFTER INSERT ON journal
WHEN (NEW.state = 0 AND NEW.event NOT IN ('instance.stored', 'instance.quarantined')) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (7, NEW.id);
END;
CREATE TRIGGER saved_journal_done AFTER UPDATE OF state ON journal
WHEN (NEW.state <> OLD.state AND NEW.event NOT IN ('instance.stored', 'instance.quarantined')) AND NOT EXISTS (SELECT 1 FROM kv WHERE space = 'record' AND name = 'silent')
BEGIN
    INSERT OR IGNORE INTO unsaved VALUES (7, NEW.id);
END;
