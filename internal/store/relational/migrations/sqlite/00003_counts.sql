-- +goose Up
-- What is counted: kept by every transaction that moves it, recomputed by muster verify.

CREATE TABLE finding_class (
    id             INTEGER PRIMARY KEY,
    severity       TEXT NOT NULL, -- as the source gives it; '' where it gives none
    exploitability TEXT NOT NULL,
    UNIQUE (severity, exploitability)
);
ALTER TABLE facts ADD COLUMN class_id INTEGER; -- NULL in older rows, until a finding with them is counted

ALTER TABLE tenant ADD COLUMN counted INTEGER NOT NULL DEFAULT 0; -- 1 = what follows holds for its machines

ALTER TABLE machine ADD COLUMN counted INTEGER NOT NULL DEFAULT 0; -- in the scope of some connector, and neither merged nor superseded since
ALTER TABLE machine ADD COLUMN platform TEXT NOT NULL DEFAULT '';
ALTER TABLE machine ADD COLUMN device_group TEXT NOT NULL DEFAULT '';

CREATE TABLE machine_count ( -- open findings of a machine, counted or not
    machine_id INTEGER NOT NULL,
    class_id   INTEGER NOT NULL,
    findings   INTEGER NOT NULL,
    PRIMARY KEY (machine_id, class_id)
) WITHOUT ROWID;

CREATE TABLE device_count ( -- distinct open exposures over a device's counted machines
    device_id            INTEGER PRIMARY KEY,
    critical             INTEGER NOT NULL,
    high                 INTEGER NOT NULL,
    medium               INTEGER NOT NULL,
    low                  INTEGER NOT NULL,
    other                INTEGER NOT NULL,
    exploitable_critical INTEGER NOT NULL, -- of these, with a known exploit
    exploitable_high     INTEGER NOT NULL,
    exploitable_medium   INTEGER NOT NULL,
    exploitable_low      INTEGER NOT NULL,
    exploitable_other    INTEGER NOT NULL
);

CREATE TABLE device_tally ( -- devices on whose counted machines something stands
    tenant_id INTEGER NOT NULL, -- the smallest of the device's counted machines
    kind      TEXT    NOT NULL, -- 'cve', 'exposed' (software with an open finding), 'installed', 'reported'
    item_id   INTEGER NOT NULL, -- CVE or software
    devices   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, item_id)
) WITHOUT ROWID;

CREATE TABLE tally_delta ( -- what is to be added to device_tally at the end of a merge
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    deltas    BLOB    NOT NULL
);
CREATE INDEX tally_delta_tenant ON tally_delta (tenant_id);

CREATE TABLE total_delta ( -- what moved since the last day with a complete read
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    flows     TEXT    NOT NULL -- JSON
);
CREATE INDEX total_delta_tenant ON total_delta (tenant_id);

CREATE TABLE total_day ( -- days (UTC, of the source) with a complete read of vulnerabilities
    tenant_id INTEGER NOT NULL,
    day       TEXT    NOT NULL,
    as_of     INTEGER NOT NULL, -- the last snapshot of that day
    PRIMARY KEY (tenant_id, day)
) WITHOUT ROWID;

CREATE TABLE total ( -- open = open of the tenant's day before + opened + reopened + entered_scope - fixed - left_scope
    tenant_id     INTEGER NOT NULL,
    day           TEXT    NOT NULL,
    organisation  TEXT    NOT NULL,
    severity      TEXT    NOT NULL, -- '' where there is none, as in the next two
    platform      TEXT    NOT NULL,
    device_group  TEXT    NOT NULL,
    open          INTEGER NOT NULL,
    opened        INTEGER NOT NULL,
    fixed         INTEGER NOT NULL,
    reopened      INTEGER NOT NULL,
    entered_scope INTEGER NOT NULL,
    left_scope    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, day, organisation, severity, platform, device_group)
) WITHOUT ROWID;

-- +goose Down
SELECT 1;
