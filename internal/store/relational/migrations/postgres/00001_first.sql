-- +goose Up
-- Times are microseconds since 1970 UTC. NULL means that the source gave none.
-- Texts that are keys compare by their bytes, whatever the database's collation.
-- Ids that stand in the large tables have four bytes.

-- The clock by which leases begin and run out: the server's, for nodes' clocks differ.
-- What the caller takes for the time is handed in for nothing but tests.
CREATE FUNCTION muster_lease_clock(caller BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE
    AS 'SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT';

CREATE TABLE setting (key TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE tenant (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id TEXT COLLATE "C" NOT NULL UNIQUE);

CREATE TABLE connector (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             TEXT COLLATE "C" NOT NULL,
    name_key         TEXT COLLATE "C" NOT NULL UNIQUE,
    tenant_id        TEXT NOT NULL DEFAULT '', -- the token's tid of the first success
    settings         TEXT NOT NULL,
    settings_version BIGINT NOT NULL,
    created_at       BIGINT NOT NULL
);

CREATE TABLE run (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connector_id     BIGINT NOT NULL REFERENCES connector (id),
    server           TEXT NOT NULL,
    trigger_kind     TEXT NOT NULL,
    state            TEXT NOT NULL,
    settings         TEXT NOT NULL,
    settings_version BIGINT NOT NULL,
    full_read        SMALLINT NOT NULL,
    tenant_id        BIGINT REFERENCES tenant (id),
    fence            BIGINT NOT NULL DEFAULT 0,
    lease_until      BIGINT NOT NULL DEFAULT 0,
    lost             INTEGER NOT NULL DEFAULT 0,
    cancel_asked     SMALLINT NOT NULL DEFAULT 0,
    queued_at        BIGINT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT,
    source_time      BIGINT,
    api_calls        BIGINT NOT NULL DEFAULT 0,
    bytes            BIGINT NOT NULL DEFAULT 0,
    throttled        BIGINT NOT NULL DEFAULT 0, -- microseconds
    calls_before     BIGINT NOT NULL DEFAULT 0, -- of the three above, what earlier leases have cost
    bytes_before     BIGINT NOT NULL DEFAULT 0,
    throttled_before BIGINT NOT NULL DEFAULT 0,
    warnings         TEXT NOT NULL DEFAULT '[]',
    error            TEXT,
    scope            BYTEA -- decided when the machines were whole
);
-- One run waits; one that lost its worker may wait beside it.
CREATE UNIQUE INDEX run_queued ON run (connector_id) WHERE state = 'queued' AND started_at IS NULL;
CREATE UNIQUE INDEX run_active ON run (connector_id) WHERE state IN ('dispatched', 'running', 'merging');

CREATE TABLE run_dataset (
    run_id          BIGINT NOT NULL REFERENCES run (id),
    dataset         TEXT COLLATE "C" NOT NULL,
    mode            TEXT NOT NULL DEFAULT 'full',
    completeness    TEXT, -- NULL until the reader has ended it
    reason          TEXT NOT NULL DEFAULT '',
    source_time     BIGINT,
    sequence        BIGINT NOT NULL DEFAULT 0,
    sequence_fence  BIGINT NOT NULL DEFAULT 0,
    merge_cursor    BIGINT NOT NULL DEFAULT 0,
    merged          SMALLINT NOT NULL DEFAULT 0,
    rows_read       BIGINT NOT NULL DEFAULT 0,
    rows_new        BIGINT NOT NULL DEFAULT 0,
    rows_changed    BIGINT NOT NULL DEFAULT 0,
    rows_unchanged  BIGINT NOT NULL DEFAULT 0,
    rows_closed     BIGINT NOT NULL DEFAULT 0,
    rows_reopened   BIGINT NOT NULL DEFAULT 0,
    rows_out        BIGINT NOT NULL DEFAULT 0,
    rows_rejected   BIGINT NOT NULL DEFAULT 0,
    rows_duplicate  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, dataset)
);

CREATE TABLE run_part (
    run_id  BIGINT NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    part    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, dataset, part)
);

CREATE TABLE run_rejected ( -- the first rejected rows of a dataset, for the reader
    run_id  BIGINT NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    n       INTEGER NOT NULL,
    machine TEXT NOT NULL,
    reason  TEXT NOT NULL,
    PRIMARY KEY (run_id, dataset, n)
);

CREATE TABLE segment (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     BIGINT NOT NULL,
    dataset    TEXT COLLATE "C" NOT NULL,
    records    INTEGER NOT NULL,
    chunks     INTEGER NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX segment_run ON segment (run_id, dataset);

CREATE TABLE segment_chunk (
    segment_id BIGINT NOT NULL,
    n          INTEGER NOT NULL,
    checksum   BIGINT NOT NULL,
    data       BYTEA NOT NULL,
    PRIMARY KEY (segment_id, n)
);

CREATE TABLE rate_budget ( -- calls of tightly limited endpoints, kept across runs and restarts
    tenant   TEXT COLLATE "C" NOT NULL,
    client   TEXT COLLATE "C" NOT NULL,
    endpoint TEXT COLLATE "C" NOT NULL,
    calls    TEXT NOT NULL, -- JSON array of times, ascending
    PRIMARY KEY (tenant, client, endpoint)
);

CREATE TABLE dataset_state ( -- the last applied complete read, per tenant
    tenant_id       BIGINT NOT NULL,
    dataset         TEXT COLLATE "C" NOT NULL,
    snapshot        BIGINT,
    rows_read       BIGINT NOT NULL, -- before the filters
    mapping_version TEXT NOT NULL,
    guard_since     BIGINT,
    guard_snapshot  BIGINT,
    present         BYTEA, -- the machines that had rows, before the filters
    PRIMARY KEY (tenant_id, dataset)
);

CREATE TABLE device (
    id        INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE machine (
    id               INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id        BIGINT NOT NULL REFERENCES tenant (id),
    machine_id       TEXT COLLATE "C" NOT NULL,
    device_id        INTEGER REFERENCES device (id), -- NULL until a list that holds it was applied
    attributes       TEXT, -- JSON object by target attribute
    first_seen       BIGINT,
    last_seen        BIGINT,
    aad_device_id    TEXT,
    merged_into      TEXT,
    superseded       SMALLINT NOT NULL DEFAULT 0,
    listed_at        BIGINT, -- source time of the last list that had it
    unseen_since     BIGINT, -- source time of the first complete list without it
    missing_since    BIGINT,
    UNIQUE (tenant_id, machine_id)
);
CREATE INDEX machine_device ON machine (device_id);

CREATE TABLE machine_scope (
    machine_id   INTEGER NOT NULL,
    connector_id BIGINT NOT NULL,
    reason       TEXT NOT NULL, -- '' = in scope
    since        BIGINT NOT NULL, -- source time
    PRIMARY KEY (machine_id, connector_id)
);

CREATE TABLE machine_dataset (
    machine_id     INTEGER NOT NULL,
    dataset        TEXT COLLATE "C" NOT NULL,
    applied_at     BIGINT,
    looked_at      BIGINT,
    assessed_at    BIGINT,
    empty_at       BIGINT,
    last_confirmed BIGINT,
    digest         BYTEA,
    open_rows      BIGINT NOT NULL DEFAULT 0,
    attributes     TEXT, -- JSON object, for datasets of one row a machine
    PRIMARY KEY (machine_id, dataset)
);

CREATE TABLE attribute_change (
    machine_id INTEGER NOT NULL,
    at         BIGINT NOT NULL,
    attribute  TEXT COLLATE "C" NOT NULL,
    old        TEXT, -- JSON value
    new        TEXT,
    run_id     BIGINT NOT NULL,
    PRIMARY KEY (machine_id, at, attribute)
);

CREATE TABLE software (
    id      INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vendor  TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    UNIQUE (vendor, name, version)
);

CREATE TABLE cve (
    id         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cve        TEXT COLLATE "C" NOT NULL UNIQUE,
    attributes TEXT, -- JSON object by target attribute; NULL = never described
    asked_at   BIGINT, -- source time of the last catalogue read that looked for it
    changed_at BIGINT
);

CREATE TABLE exposure ( -- cve_id 0: the software itself, known without a CVE
    id          INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    software_id BIGINT NOT NULL,
    cve_id      BIGINT NOT NULL,
    UNIQUE (software_id, cve_id)
);

CREATE TABLE configuration (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, configuration_id TEXT COLLATE "C" NOT NULL UNIQUE);

CREATE TABLE facts ( -- what a row says beside its identity
    id         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,
    attributes TEXT NOT NULL -- JSON object by target attribute
);

CREATE TABLE evidence (
    hash           BYTEA PRIMARY KEY, -- 128 bits, keyed
    disk_paths     TEXT NOT NULL, -- JSON arrays, sorted
    registry_paths TEXT NOT NULL
);

CREATE TABLE finding (
    machine_id  INTEGER NOT NULL,
    exposure_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BYTEA,
    first_seen  BIGINT,
    closed_at   BIGINT, -- NULL = open
    confirmed   BIGINT, -- last_confirmed at closing
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, exposure_id)
);

CREATE TABLE installed_software ( -- known from the software inventory
    machine_id  INTEGER NOT NULL,
    software_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BYTEA,
    first_seen  BIGINT,
    closed_at   BIGINT,
    confirmed   BIGINT,
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, software_id)
);

CREATE TABLE reported_software ( -- known from vulnerability rows
    machine_id  INTEGER NOT NULL,
    software_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BYTEA,
    first_seen  BIGINT,
    closed_at   BIGINT,
    confirmed   BIGINT,
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, software_id)
);

CREATE TABLE configuration_result (
    machine_id       INTEGER NOT NULL,
    configuration_id INTEGER NOT NULL,
    facts_id         INTEGER NOT NULL,
    evidence         BYTEA,
    lag              BIGINT, -- the row's timestamp is the machine's last_confirmed less this
    closed_at        BIGINT,
    confirmed        BIGINT,
    reopened         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, configuration_id)
);

CREATE TABLE item_event ( -- what a row of the four tables above no longer shows
    machine_id INTEGER NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL, -- the table
    item_id    INTEGER NOT NULL,
    at         BIGINT NOT NULL,
    event      TEXT COLLATE "C" NOT NULL, -- 'closed', 'reopened', 'changed'
    facts_id   INTEGER, -- before a change
    PRIMARY KEY (machine_id, kind, item_id, at, event)
);

-- About a hundred rows a machine, whatever the first sample says.
ALTER TABLE finding ALTER COLUMN machine_id SET (n_distinct = -0.01);
ALTER TABLE installed_software ALTER COLUMN machine_id SET (n_distinct = -0.01);
ALTER TABLE reported_software ALTER COLUMN machine_id SET (n_distinct = -0.01);
ALTER TABLE configuration_result ALTER COLUMN machine_id SET (n_distinct = -0.01);
ALTER TABLE item_event ALTER COLUMN machine_id SET (n_distinct = -0.05);
ALTER TABLE attribute_change ALTER COLUMN machine_id SET (n_distinct = -0.05);
ALTER TABLE machine_dataset ALTER COLUMN machine_id SET (n_distinct = -0.2);

-- What is compressed already is not compressed again.
ALTER TABLE segment_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

-- Rows that are updated again and again find room on their own page.
ALTER TABLE run SET (fillfactor = 50);
ALTER TABLE run_dataset SET (fillfactor = 50);
ALTER TABLE machine SET (fillfactor = 80);
ALTER TABLE machine_dataset SET (fillfactor = 80);

-- +goose Down
SELECT 1;
