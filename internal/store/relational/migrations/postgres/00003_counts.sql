-- +goose Up
-- What is counted: kept by every transaction that moves it, recomputed by muster verify.

CREATE TABLE finding_class (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    severity       TEXT COLLATE "C" NOT NULL, -- as the source gives it; '' where it gives none
    exploitability TEXT COLLATE "C" NOT NULL,
    UNIQUE (severity, exploitability)
);
ALTER TABLE facts ADD COLUMN class_id INTEGER; -- NULL in older rows, until a finding with them is counted

ALTER TABLE tenant ADD COLUMN counted SMALLINT NOT NULL DEFAULT 0; -- 1 = what follows holds for its machines

ALTER TABLE machine ADD COLUMN counted SMALLINT NOT NULL DEFAULT 0; -- in the scope of some connector, and neither merged nor superseded since
ALTER TABLE machine ADD COLUMN platform TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE machine ADD COLUMN device_group TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE machine_count ( -- open findings of a machine, counted or not
    machine_id INTEGER NOT NULL,
    class_id   INTEGER NOT NULL,
    findings   INTEGER NOT NULL,
    PRIMARY KEY (machine_id, class_id)
);

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
    tenant_id BIGINT NOT NULL, -- the smallest of the device's counted machines
    kind      TEXT COLLATE "C" NOT NULL, -- 'cve', 'exposed' (software with an open finding), 'installed', 'reported'
    item_id   INTEGER NOT NULL, -- CVE or software
    devices   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, item_id)
);

CREATE TABLE tally_delta ( -- what is to be added to device_tally at the end of a merge
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id BIGINT NOT NULL,
    deltas    BYTEA NOT NULL
);
CREATE INDEX tally_delta_tenant ON tally_delta (tenant_id);

CREATE TABLE total_delta ( -- what moved since the last day with a complete read
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id BIGINT NOT NULL,
    flows     TEXT NOT NULL -- JSON
);
CREATE INDEX total_delta_tenant ON total_delta (tenant_id);

CREATE TABLE total_day ( -- days (UTC, of the source) with a complete read of vulnerabilities
    tenant_id BIGINT NOT NULL,
    day       TEXT COLLATE "C" NOT NULL,
    as_of     BIGINT NOT NULL, -- the last snapshot of that day
    PRIMARY KEY (tenant_id, day)
);

CREATE TABLE total ( -- open = open of the tenant's day before + opened + reopened + entered_scope - fixed - left_scope
    tenant_id     BIGINT NOT NULL,
    day           TEXT COLLATE "C" NOT NULL,
    organisation  TEXT COLLATE "C" NOT NULL,
    severity      TEXT COLLATE "C" NOT NULL, -- '' where there is none, as in the next two
    platform      TEXT COLLATE "C" NOT NULL,
    device_group  TEXT COLLATE "C" NOT NULL,
    open          BIGINT NOT NULL,
    opened        BIGINT NOT NULL,
    fixed         BIGINT NOT NULL,
    reopened      BIGINT NOT NULL,
    entered_scope BIGINT NOT NULL,
    left_scope    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, day, organisation, severity, platform, device_group)
);

-- +goose Down
SELECT 1;
