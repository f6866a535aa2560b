-- +goose Up
-- What reconciliation looks at, finds and remembers.

ALTER TABLE tenant ADD COLUMN regroups INTEGER NOT NULL DEFAULT 0; -- how often its devices were written

ALTER TABLE device ADD COLUMN founder_id INTEGER REFERENCES machine (id) ON DELETE SET NULL; -- the machine it is named after; its id answers with that machine's device
CREATE INDEX device_founder ON device (founder_id);

ALTER TABLE machine ADD COLUMN vm_id TEXT;
ALTER TABLE machine ADD COLUMN host_name TEXT;
ALTER TABLE machine ADD COLUMN fqdn TEXT;
ALTER TABLE machine ADD COLUMN mac_addresses TEXT; -- colon form, sorted, separated by blanks

CREATE TABLE tenant_group ( -- tenants of one owner, across which machines may be one device
    tenant_id INTEGER PRIMARY KEY REFERENCES tenant (id),
    group_id  INTEGER NOT NULL -- the smallest tenant_id in it
);

CREATE TABLE machine_key ( -- values that machines were found to hold together, none of them alive at the same time
    machine_id INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    until      INTEGER, -- the machine's last_seen at that time
    PRIMARY KEY (machine_id, kind, value)
) WITHOUT ROWID;

CREATE TABLE machine_link ( -- why a machine is one device with another
    machine_id INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    reason     TEXT    NOT NULL, -- 'merged', 'operator', 'entra_device_id', 'cloud_vm_id', 'mac_and_host_name', 'fqdn'
    value      TEXT    NOT NULL, -- of the key; '' where there is none
    since      INTEGER NOT NULL, -- source time, or the operator's
    PRIMARY KEY (machine_id, partner_id)
) WITHOUT ROWID;

CREATE TABLE device_decision ( -- an operator's word about two machines, the smaller id first
    machine_a  INTEGER NOT NULL,
    machine_b  INTEGER NOT NULL,
    apart      INTEGER NOT NULL, -- 0 = one device
    decided_at INTEGER NOT NULL,
    decided_by TEXT    NOT NULL,
    PRIMARY KEY (machine_a, machine_b)
) WITHOUT ROWID;

-- +goose Down
SELECT 1;
