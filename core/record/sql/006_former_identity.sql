-- What a patient was called before a correction: later arrivals that say exactly that are the same person.
CREATE TABLE former_identity (
    id {serial},
    patient BIGINT NOT NULL REFERENCES patient (id),
    patient_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    name TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    sex TEXT NOT NULL,
    changes TEXT NOT NULL, -- JSON: tag in hexadecimal -> what it says since
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    at_us BIGINT NOT NULL
);
CREATE INDEX former_identity_key ON former_identity (patient_id, issuer);
CREATE INDEX former_identity_patient ON former_identity (patient, id);
