-- Han variants beyond traditional and simplified are one: keys are made again, as 007 has it.
DELETE FROM derivation;
INSERT INTO derivation VALUES (1, 0), (2, 0), (3, 0);
