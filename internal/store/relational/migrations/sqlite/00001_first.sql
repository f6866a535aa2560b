-- +goose Up
-- Times are microseconds since 1970 UTC. NULL means that the source gave none.

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE tenant (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL UNIQUE);

CREATE TABLE connector (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL,
    name_key         TEXT    NOT NULL UNIQUE,
    tenant_id        TEXT    NOT NULL DEFAULT '', -- the token's tid of the first success
    settings         TEXT    NOT NULL,
    settings_version INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
);

CREATE TABLE run (
    id               INTEGER PRIMARY KEY,
    connector_id     INTEGER NOT NULL REFERENCES connector (id),
    server           TEXT    NOT NULL,
    trigger_kind     TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    settings         TEXT    NOT NULL,
    settings_version INTEGER NOT NULL,
    full_read        INTEGER NOT NULL,
    tenant_id        INTEGER REFERENCES tenant (id),
    fence            INTEGER NOT NULL DEFAULT 0,
    lease_until      INTEGER NOT NULL DEFAULT 0,
    lost             INTEGER NOT NULL DEFAULT 0,
    cancel_asked     INTEGER NOT NULL DEFAULT 0,
    queued_at        INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    source_time      INTEGER,
    api_calls        INTEGER NOT NULL DEFAULT 0,
    bytes            INTEGER NOT NULL DEFAULT 0,
    throttled        INTEGER NOT NULL DEFAULT 0, -- microseconds
    calls_before     INTEGER NOT NULL DEFAULT 0, -- of the three above, what earlier leases have cost
    bytes_before     INTEGER NOT NULL DEFAULT 0,
    throttled_before INTEGER NOT NULL DEFAULT 0,
    warnings         TEXT    NOT NULL DEFAULT '[]',
    error            TEXT,
    scope            BLOB -- decided when the machines were whole
);
-- One run waits; one that lost its worker may wait beside it.
CREATE UNIQUE INDEX run_queued ON run (connector_id) WHERE state = 'queued' AND started_at IS NULL;
CREATE UNIQUE INDEX run_active ON run (connector_id) WHERE state IN ('dispatched', 'running', 'merging');

CREATE TABLE run_dataset (
    run_id          INTEGER NOT NULL REFERENCES run (id),
    dataset         TEXT    NOT NULL,
    mode            TEXT    NOT NULL DEFAULT 'full',
    completeness    TEXT, -- NULL until the reader has ended it
    reason          TEXT    NOT NULL DEFAULT '',
    source_time     INTEGER,
    sequence        INTEGER NOT NULL DEFAULT 0,
    sequence_fence  INTEGER NOT NULL DEFAULT 0,
    merge_cursor    INTEGER NOT NULL DEFAULT 0,
    merged          INTEGER NOT NULL DEFAULT 0,
    rows_read       INTEGER NOT NULL DEFAULT 0,
    rows_new        INTEGER NOT NULL DEFAULT 0,
    rows_changed    INTEGER NOT NULL DEFAULT 0,
    rows_unchanged  INTEGER NOT NULL DEFAULT 0,
    rows_closed     INTEGER NOT NULL DEFAULT 0,
    rows_reopened   INTEGER NOT NULL DEFAULT 0,
    rows_out        INTEGER NOT NULL DEFAULT 0,
    rows_rejected   INTEGER NOT NULL DEFAULT 0,
    rows_duplicate  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, dataset)
) WITHOUT ROWID;

CREATE TABLE run_part (
    run_id  INTEGER NOT NULL,
    dataset TEXT    NOT NULL,
    part    TEXT    NOT NULL,
    PRIMARY KEY (run_id, dataset, part)
) WITHOUT ROWID;

CREATE TABLE run_rejected ( -- the first rejected rows of a dataset, for the reader
    run_id  INTEGER NOT NULL,
    dataset TEXT    NOT NULL,
    n       INTEGER NOT NULL,
    machine TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    PRIMARY KEY (run_id, dataset, n)
) WITHOUT ROWID;

CREATE TABLE segment (
    id         INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,
    dataset    TEXT    NOT NULL,
    records    INTEGER NOT NULL,
    chunks     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX segment_run ON segment (run_id, dataset);

CREATE TABLE segment_chunk (
    segment_id INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    data       BLOB    NOT NULL,
    PRIMARY KEY (segment_id, n)
);

CREATE TABLE rate_budget ( -- calls of tightly limited endpoints, kept across runs and restarts
    tenant   TEXT NOT NULL,
    client   TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    calls    TEXT NOT NULL, -- JSON array of times, ascending
    PRIMARY KEY (tenant, client, endpoint)
) WITHOUT ROWID;

CREATE TABLE dataset_state ( -- the last applied complete read, per tenant
    tenant_id       INTEGER NOT NULL,
    dataset         TEXT    NOT NULL,
    snapshot        INTEGER,
    rows_read       INTEGER NOT NULL, -- before the filters
    mapping_version TEXT    NOT NULL,
    guard_since     INTEGER,
    guard_snapshot  INTEGER,
    present         BLOB, -- the machines that had rows, before the filters
    PRIMARY KEY (tenant_id, dataset)
) WITHOUT ROWID;

CREATE TABLE device (
    id        INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL UNIQUE
);

CREATE TABLE machine (
    id               INTEGER PRIMARY KEY,
    tenant_id        INTEGER NOT NULL REFERENCES tenant (id),
    machine_id       TEXT    NOT NULL,
    device_id        INTEGER REFERENCES device (id), -- NULL until a list that holds it was applied
    attributes       TEXT, -- JSON object by target attribute
    first_seen       INTEGER,
    last_seen        INTEGER,
    aad_device_id    TEXT,
    merged_into      TEXT,
    superseded       INTEGER NOT NULL DEFAULT 0,
    listed_at        INTEGER, -- source time of the last list that had it
    unseen_since     INTEGER, -- source time of the first complete list without it
    missing_since    INTEGER,
    UNIQUE (tenant_id, machine_id)
);
CREATE INDEX machine_device ON machine (device_id);

CREATE TABLE machine_scope (
    machine_id   INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    reason       TEXT    NOT NULL, -- '' = in scope
    since        INTEGER NOT NULL, -- source time
    PRIMARY KEY (machine_id, connector_id)
) WITHOUT ROWID;

CREATE TABLE machine_dataset (
    machine_id     INTEGER NOT NULL,
    dataset        TEXT    NOT NULL,
    applied_at     INTEGER,
    looked_at      INTEGER,
    assessed_at    INTEGER,
    empty_at       INTEGER,
    last_confirmed INTEGER,
    digest         BLOB,
    open_rows      INTEGER NOT NULL DEFAULT 0,
    attributes     TEXT, -- JSON object, for datasets of one row a machine
    PRIMARY KEY (machine_id, dataset)
) WITHOUT ROWID;

CREATE TABLE attribute_change (
    machine_id INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    attribute  TEXT    NOT NULL,
    old        TEXT, -- JSON value
    new        TEXT,
    run_id     INTEGER NOT NULL,
    PRIMARY KEY (machine_id, at, attribute)
) WITHOUT ROWID;

CREATE TABLE software (
    id      INTEGER PRIMARY KEY,
    vendor  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    UNIQUE (vendor, name, version)
);

CREATE TABLE cve (
    id         INTEGER PRIMARY KEY,
    cve        TEXT NOT NULL UNIQUE,
    attributes TEXT,    -- JSON object by target attribute; NULL = never described
    asked_at   INTEGER, -- source time of the last catalogue read that looked for it
    changed_at INTEGER
);

CREATE TABLE exposure ( -- cve_id 0: the software itself, known without a CVE
    id          INTEGER PRIMARY KEY,
    software_id INTEGER NOT NULL,
    cve_id      INTEGER NOT NULL,
    UNIQUE (software_id, cve_id)
);

CREATE TABLE configuration (id INTEGER PRIMARY KEY, configuration_id TEXT NOT NULL UNIQUE);

CREATE TABLE facts ( -- what a row says beside its identity
    id         INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    attributes TEXT NOT NULL -- JSON object by target attribute
);

CREATE TABLE evidence (
    hash           BLOB PRIMARY KEY, -- 128 bits, keyed
    disk_paths     TEXT NOT NULL,    -- JSON arrays, sorted
    registry_paths TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE finding (
    machine_id  INTEGER NOT NULL,
    exposure_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BLOB,
    first_seen  INTEGER,
    closed_at   INTEGER, -- NULL = open
    confirmed   INTEGER, -- last_confirmed at closing
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, exposure_id)
) WITHOUT ROWID;

CREATE TABLE installed_software ( -- known from the software inventory
    machine_id  INTEGER NOT NULL,
    software_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BLOB,
    first_seen  INTEGER,
    closed_at   INTEGER,
    confirmed   INTEGER,
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, software_id)
) WITHOUT ROWID;

CREATE TABLE reported_software ( -- known from vulnerability rows
    machine_id  INTEGER NOT NULL,
    software_id INTEGER NOT NULL,
    facts_id    INTEGER NOT NULL,
    evidence    BLOB,
    first_seen  INTEGER,
    closed_at   INTEGER,
    confirmed   INTEGER,
    reopened    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, software_id)
) WITHOUT ROWID;

CREATE TABLE configuration_result (
    machine_id       INTEGER NOT NULL,
    configuration_id INTEGER NOT NULL,
    facts_id         INTEGER NOT NULL,
    evidence         BLOB,
    lag              INTEGER, -- the row's timestamp is the machine's last_confirmed less this
    closed_at        INTEGER,
    confirmed        INTEGER,
    reopened         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (machine_id, configuration_id)
) WITHOUT ROWID;

CREATE TABLE item_event ( -- what a row of the four tables above no longer shows
    machine_id INTEGER NOT NULL,
    kind       TEXT    NOT NULL, -- the table
    item_id    INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    event      TEXT    NOT NULL, -- 'closed', 'reopened', 'changed'
    facts_id   INTEGER,          -- before a change
    PRIMARY KEY (machine_id, kind, item_id, at, event)
) WITHOUT ROWID;

-- +goose Down
SELECT 1;
