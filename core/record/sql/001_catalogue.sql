-- Catalogue: who, what, where. {serial}: number never given twice; {blob}: bytes; {norowid}: clustered.
CREATE TABLE patient (
    id {serial},
    standing BIGINT NOT NULL DEFAULT 0, -- 0 known, 1 provisional, 2 distinct by decision, 3 without ID
    study_key TEXT NOT NULL DEFAULT '', -- standing 3: the study it stands for
    patient_id TEXT NOT NULL DEFAULT '',
    issuer TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    birth_date TEXT NOT NULL DEFAULT '',
    birth_time TEXT NOT NULL DEFAULT '',
    sex TEXT NOT NULL DEFAULT '',
    other_ids TEXT NOT NULL DEFAULT '',
    other_names TEXT NOT NULL DEFAULT '',
    other_names_f TEXT NOT NULL DEFAULT '',
    ethnic_group TEXT NOT NULL DEFAULT '',
    comments TEXT NOT NULL DEFAULT '',
    n_studies BIGINT NOT NULL DEFAULT 0,
    n_series BIGINT NOT NULL DEFAULT 0,
    n_instances BIGINT NOT NULL DEFAULT 0,
    created_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX patient_known ON patient (issuer, patient_id) WHERE standing = 0;
CREATE UNIQUE INDEX patient_without_id ON patient (study_key) WHERE standing = 3;
CREATE INDEX patient_number ON patient (patient_id, id);

-- Search keys of names, folded, each ending in '^' but for kind 2.
-- kind 0: component groups; 1: single components, pinyin, initials; 2: one and two Han characters.
CREATE TABLE patient_name (
    folded TEXT NOT NULL,
    patient BIGINT NOT NULL REFERENCES patient (id),
    kind BIGINT NOT NULL,
    PRIMARY KEY (folded, patient)
) {norowid};
CREATE INDEX patient_name_patient ON patient_name (patient, folded, kind);

CREATE TABLE study (
    id {serial},
    patient BIGINT NOT NULL REFERENCES patient (id),
    uid TEXT NOT NULL UNIQUE,
    study_date TEXT NOT NULL DEFAULT '',
    study_time TEXT NOT NULL DEFAULT '',
    accession TEXT NOT NULL DEFAULT '',
    study_id TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    referring TEXT NOT NULL DEFAULT '',
    referring_f TEXT NOT NULL DEFAULT '',
    reading TEXT NOT NULL DEFAULT '',
    reading_f TEXT NOT NULL DEFAULT '',
    admitting_diagnoses TEXT NOT NULL DEFAULT '',
    patient_age TEXT NOT NULL DEFAULT '',
    patient_size TEXT NOT NULL DEFAULT '',
    patient_weight TEXT NOT NULL DEFAULT '',
    occupation TEXT NOT NULL DEFAULT '',
    history TEXT NOT NULL DEFAULT '',
    other_study_numbers TEXT NOT NULL DEFAULT '',
    institution TEXT NOT NULL DEFAULT '',
    modalities TEXT NOT NULL DEFAULT '',
    sop_classes TEXT NOT NULL DEFAULT '',
    n_series BIGINT NOT NULL DEFAULT 0,
    n_instances BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    state BIGINT NOT NULL DEFAULT 0, -- 0 arriving, 1 complete
    created_us BIGINT NOT NULL,
    last_arrival_us BIGINT NOT NULL
);
CREATE INDEX study_patient ON study (patient, id);
CREATE INDEX study_accession ON study (accession, id);
CREATE INDEX study_day ON study (study_date, id, modalities);
CREATE INDEX study_arriving ON study (last_arrival_us) WHERE state = 0;

CREATE TABLE series (
    id {serial},
    study BIGINT NOT NULL REFERENCES study (id),
    uid TEXT NOT NULL, -- unique within its study: senders exist that reuse it in another
    modality TEXT NOT NULL DEFAULT '',
    number BIGINT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    body_part TEXT NOT NULL DEFAULT '',
    laterality TEXT NOT NULL DEFAULT '',
    protocol TEXT NOT NULL DEFAULT '',
    series_date TEXT NOT NULL DEFAULT '',
    series_time TEXT NOT NULL DEFAULT '',
    station TEXT NOT NULL DEFAULT '',
    department TEXT NOT NULL DEFAULT '',
    manufacturer TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    performing TEXT NOT NULL DEFAULT '',
    performing_f TEXT NOT NULL DEFAULT '',
    operators TEXT NOT NULL DEFAULT '',
    operators_f TEXT NOT NULL DEFAULT '',
    position TEXT NOT NULL DEFAULT '',
    frame_of_reference TEXT NOT NULL DEFAULT '',
    step_date TEXT NOT NULL DEFAULT '',
    step_time TEXT NOT NULL DEFAULT '',
    step_id TEXT NOT NULL DEFAULT '',
    step_description TEXT NOT NULL DEFAULT '',
    n_instances BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    created_us BIGINT NOT NULL,
    UNIQUE (uid, study)
);
CREATE INDEX series_study ON series (study, number, id);

CREATE TABLE source (
    id {serial},
    peer TEXT NOT NULL,
    calling_aet TEXT NOT NULL,
    called_aet TEXT NOT NULL,
    address TEXT NOT NULL,
    UNIQUE (peer, calling_aet, called_aet, address)
);

CREATE TABLE instance (
    id {serial},
    series BIGINT NOT NULL REFERENCES series (id),
    state BIGINT NOT NULL DEFAULT 0, -- 0 current, 1 other content kept aside, 2 gone
    is_held BIGINT NOT NULL DEFAULT 0,
    uid TEXT NOT NULL,
    sop_class TEXT NOT NULL DEFAULT '',
    transfer_syntax TEXT NOT NULL DEFAULT '',
    number BIGINT NOT NULL,
    image_rows BIGINT NOT NULL,
    image_columns BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    bits_allocated BIGINT NOT NULL,
    image_type TEXT NOT NULL DEFAULT '',
    content_date TEXT NOT NULL DEFAULT '',
    content_time TEXT NOT NULL DEFAULT '',
    acquisition_date TEXT NOT NULL DEFAULT '',
    acquisition_time TEXT NOT NULL DEFAULT '',
    acquisition_datetime TEXT NOT NULL DEFAULT '',
    acquisition_number BIGINT NOT NULL,
    slice_location TEXT NOT NULL DEFAULT '',
    completion_flag TEXT NOT NULL DEFAULT '',
    verification_flag TEXT NOT NULL DEFAULT '',
    content_label TEXT NOT NULL DEFAULT '',
    content_description TEXT NOT NULL DEFAULT '',
    document_title TEXT NOT NULL DEFAULT '',
    image_comments TEXT NOT NULL DEFAULT '',
    digest_received {blob} NOT NULL,
    source BIGINT NOT NULL REFERENCES source (id),
    remarks BIGINT NOT NULL DEFAULT 0,
    remark_text TEXT NOT NULL DEFAULT '',
    received_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX instance_uid ON instance (uid) WHERE state = 0;
CREATE INDEX instance_series ON instance (series, number, id) WHERE state = 0;

CREATE TABLE location (
    store TEXT NOT NULL,
    object_key TEXT NOT NULL,
    instance BIGINT NOT NULL,
    state TEXT NOT NULL, -- current, erasing
    bytes BIGINT NOT NULL,
    dataset_offset BIGINT NOT NULL,
    digest {blob} NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (store, object_key)
) {norowid};
CREATE INDEX location_instance ON location (instance);

-- One row: what `status` would otherwise have to count.
CREATE TABLE totals (
    id BIGINT PRIMARY KEY,
    patients BIGINT NOT NULL,
    studies BIGINT NOT NULL,
    series BIGINT NOT NULL,
    instances BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0);
