package relational

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster"
	"muster/internal/store"
)

// flaw is a question whose every answer is something wrong.
type flaw struct{ kind, query string }

func without(table, column, parent, key string) string {
	return fmt.Sprintf(`NOT EXISTS (SELECT 1 FROM %s p WHERE p.%s = %s.%s)`, parent, key, table, column)
}

// flaws asks for rows that name what is not there, and for states that cannot be.
var flaws = slices.Concat(itemFlaws(), []flaw{
	{"unknown_machine", `SELECT 'machine_dataset' AS held_in, machine_id, dataset FROM machine_dataset WHERE ` + without("machine_dataset", "machine_id", "machine", "id")},
	{"unknown_machine", `SELECT 'machine_scope' AS held_in, machine_id, connector_id FROM machine_scope WHERE ` + without("machine_scope", "machine_id", "machine", "id")},
	{"unknown_machine", `SELECT 'attribute_change' AS held_in, machine_id, at, attribute FROM attribute_change WHERE ` + without("attribute_change", "machine_id", "machine", "id")},
	{"unknown_machine", `SELECT 'machine_count' AS held_in, machine_id, class_id FROM machine_count WHERE ` + without("machine_count", "machine_id", "machine", "id")},
	{"machine_count", `SELECT machine_id, class_id, findings FROM machine_count WHERE findings < 0 OR ` + without("machine_count", "class_id", "finding_class", "id")},
	{"finding_class", `SELECT id, class_id FROM facts WHERE class_id IS NOT NULL AND ` + without("facts", "class_id", "finding_class", "id")},
	{"device", `SELECT 'device_count' AS held_in, device_id FROM device_count WHERE ` + without("device_count", "device_id", "device", "id")},
	{"unknown_connector", `SELECT machine_id, connector_id FROM machine_scope WHERE ` + without("machine_scope", "connector_id", "connector", "id")},
	{"unknown_tenant", `SELECT tenant_id, dataset FROM dataset_state WHERE ` + without("dataset_state", "tenant_id", "tenant", "id")},
	{"unknown_text", `SELECT 'exposure' AS held_in, id, software_id FROM exposure WHERE ` + without("exposure", "software_id", "software", "id")},
	{"unknown_text", `SELECT 'exposure' AS held_in, id, cve_id FROM exposure WHERE cve_id <> 0 AND ` + without("exposure", "cve_id", "cve", "id")},
	{"device", `SELECT id AS listed_machine FROM machine WHERE listed_at IS NOT NULL AND device_id IS NULL`},
	{"device", `SELECT device_id, founder_id FROM device WHERE founder_id IS NULL AND NOT EXISTS (SELECT 1 FROM machine m WHERE m.device_id = device.id)`},
	{"device", `SELECT device_id, founder_id FROM device WHERE founder_id IS NOT NULL AND ` + without("device", "founder_id", "machine", "id")},
	{"unknown_machine", `SELECT 'machine_key' AS held_in, machine_id, kind FROM machine_key WHERE ` + without("machine_key", "machine_id", "machine", "id")},
	{"unknown_machine", `SELECT 'machine_link' AS held_in, machine_id, partner_id FROM machine_link
		WHERE ` + without("machine_link", "machine_id", "machine", "id") + ` OR ` + without("machine_link", "partner_id", "machine", "id")},
	{"judgement", `SELECT machine_id, dataset, looked_at, assessed_at, empty_at FROM machine_dataset
		WHERE assessed_at > looked_at OR empty_at > looked_at OR looked_at IS NULL AND (assessed_at IS NOT NULL OR empty_at IS NOT NULL)`},
	{"document", `SELECT machine_id, dataset, open_rows FROM machine_dataset WHERE dataset IN ('antivirus', 'information') AND (open_rows <> 1 OR attributes IS NULL)`},
	{"run_state", `SELECT id, state, finished_at FROM run WHERE (state IN ` + activeStates + ` OR state = 'queued') <> (finished_at IS NULL)`},
	{"run_state", `SELECT id, state, started_at FROM run WHERE state IN ` + activeStates + ` AND started_at IS NULL`},
	{"run_state", `SELECT id, state FROM run WHERE state NOT IN ` + states(allStates)},
	{"run_state", `SELECT id, state FROM run WHERE state IN ('merging', 'succeeded', 'succeeded_with_warnings') AND tenant_id IS NULL`},
	{"run_state", `SELECT d.run_id, d.dataset, r.state FROM run_dataset d JOIN run r ON r.id = d.run_id WHERE d.merged = 1 AND r.state IN ('queued', 'dispatched', 'running')`},
	{"run_state", `SELECT d.run_id, d.dataset, r.state FROM run_dataset d JOIN run r ON r.id = d.run_id
		WHERE d.merged = 0 AND d.mode = 'full' AND d.dataset <> 'gone' AND r.state IN ('succeeded', 'succeeded_with_warnings')`},
	{"run_counts", `SELECT run_id, dataset, rows_read, rows_new, rows_changed, rows_unchanged, rows_out, rows_rejected, rows_duplicate FROM run_dataset
		WHERE merged = 1 AND rows_read <> rows_new + rows_changed + rows_unchanged + rows_out + rows_rejected + rows_duplicate`},
	{"unknown_run", `SELECT 'run_dataset' AS held_in, run_id, dataset FROM run_dataset WHERE ` + without("run_dataset", "run_id", "run", "id")},
	{"unknown_run", `SELECT 'segment' AS held_in, run_id, id FROM segment WHERE ` + without("segment", "run_id", "run", "id")},
	{"unknown_run", `SELECT 'run_part' AS held_in, run_id, dataset, part FROM run_part WHERE ` + without("run_part", "run_id", "run", "id")},
	{"unknown_run", `SELECT 'run_rejected' AS held_in, run_id, dataset FROM run_rejected WHERE ` + without("run_rejected", "run_id", "run", "id")},
	{"leftover", `SELECT s.id AS segment, s.run_id, r.state FROM segment s JOIN run r ON r.id = s.run_id WHERE r.finished_at IS NOT NULL`},
	{"leftover", `SELECT p.run_id, p.dataset, p.part FROM run_part p JOIN run r ON r.id = p.run_id WHERE r.finished_at IS NOT NULL`},
	{"leftover", `SELECT id AS run_with_scope, state FROM run WHERE finished_at IS NOT NULL AND scope IS NOT NULL`},
	{"leftover", `SELECT segment_id, n FROM segment_chunk WHERE ` + without("segment_chunk", "segment_id", "segment", "id")},
})

var allStates = []muster.RunState{
	muster.Queued, muster.Dispatched, muster.Running, muster.Merging, muster.Succeeded, muster.SucceededWithWarnings, muster.Failed,
	muster.Cancelled, muster.Missed, muster.Skipped, muster.Abandoned,
}

// itemParents names the table of each kind's items.
var itemParents = map[store.ItemKind]string{
	store.Findings: "exposure", store.InstalledSoftware: "software", store.ReportedSoftware: "software", store.Configurations: "configuration",
}

// itemFlaws asks the same of every table of rows that hang on machines.
func itemFlaws() []flaw {
	var all []flaw
	for _, kind := range slices.Sorted(maps.Keys(itemTables)) {
		item := itemTables[kind].item
		columns := fmt.Sprintf(`SELECT '%s' AS held_in, machine_id, %s`, kind, item)
		events := fmt.Sprintf(`(SELECT COUNT(*) FROM item_event e WHERE e.machine_id = %[1]s.machine_id AND e.kind = '%[1]s' AND e.item_id = %[1]s.%[2]s AND e.event = `, kind, item)
		from := ` FROM ` + string(kind) + ` WHERE `
		all = append(
			all,
			flaw{"unknown_machine", columns + from + without(string(kind), "machine_id", "machine", "id")},
			flaw{"unknown_text", columns + from + without(string(kind), item, itemParents[kind], "id")},
			flaw{"unknown_facts", columns + `, facts_id` + from + without(string(kind), "facts_id", "facts", "id")},
			flaw{"unknown_evidence", columns + from + `evidence IS NOT NULL AND ` + without(string(kind), "evidence", "evidence", "hash")},
			flaw{"closed_row", columns + `, closed_at, confirmed` + from + `(closed_at IS NULL) <> (confirmed IS NULL)`},
			flaw{"event", columns + `, closed_at` + from + `closed_at IS NOT NULL AND ` + events + `'closed' AND e.at = closed_at) = 0`},
			flaw{"event", columns + `, reopened` + from + `reopened < ` + events + `'reopened') OR reopened > 0 AND ` + events + `'reopened') = 0`},
			flaw{"event", columns + `, reopened` + from + `closed_at IS NULL AND reopened = 0 AND ` + events + `'closed') > 0`},
			flaw{"event", fmt.Sprintf(`SELECT kind, machine_id, item_id, at, event FROM item_event WHERE kind = '%[1]s' AND
				NOT EXISTS (SELECT 1 FROM %[1]s i WHERE i.machine_id = item_event.machine_id AND i.%[2]s = item_event.item_id)`, kind, item)},
			flaw{"event", fmt.Sprintf(`SELECT kind, machine_id, item_id, at, facts_id FROM item_event WHERE kind = '%s' AND facts_id IS NOT NULL AND `, kind) + without("item_event", "facts_id", "facts", "id")},
		)
	}
	return append(all, flaw{"event", `SELECT kind, machine_id, item_id, event FROM item_event WHERE event NOT IN ('closed', 'reopened', 'changed') OR (event = 'changed') <> (facts_id IS NOT NULL)`})
}

// Flaws implements store.Integrity.
func (s *Store) Flaws(ctx context.Context, fn func(kind, row string)) error {
	return s.view(ctx, func(tx *Tx) error {
		for _, f := range flaws {
			if err := each(ctx, tx, func(rows *sql.Rows) error {
				row, err := spell(rows)
				fn(f.kind, row)
				return err
			}, f.query); err != nil {
				return fmt.Errorf("%s: %w", f.kind, err)
			}
		}
		return nil
	})
}

// spell writes a row as "column value, column value".
func spell(rows *sql.Rows) (string, error) {
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	values := make([]any, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return "", err
	}
	parts := make([]string, len(names))
	for i, name := range names {
		value := values[i]
		if raw, binary := value.([]byte); binary {
			value = string(raw)
		}
		if n, number := value.(int64); number && strings.HasSuffix(name, "_at") || number && name == "at" {
			value = time.UnixMicro(n).UTC().Format(time.RFC3339)
		}
		if value == nil {
			value = "none"
		}
		parts[i] = fmt.Sprintf("%s %v", name, value)
	}
	return strings.Join(parts, ", "), nil
}

// HeldAbove implements store.Integrity.
func (s *Store) HeldAbove(ctx context.Context, above int64, limit int, fn func(store.Held)) error {
	return s.view(ctx, func(tx *Tx) error {
		all, err := heldAbove(ctx, tx, above, limit)
		if err != nil || len(all) == 0 {
			return err
		}
		last := all[len(all)-1].ID
		at := make(map[int64]*store.Held, len(all))
		for i := range all {
			at[all[i].ID] = &all[i]
		}
		if err := whatHangsOn(ctx, tx, at, above, last); err != nil {
			return err
		}
		for kind, t := range itemTables {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var i store.Item
				err := scanItem(rows, &i)
				if h := at[i.Machine]; h != nil {
					h.Rows[kind] = append(h.Rows[kind], i)
				}
				return err
			}, fmt.Sprintf(`SELECT %s FROM %s WHERE machine_id > $1 AND machine_id <= $2 ORDER BY machine_id, %s`, t.columns(), kind, t.item), above, last)
			if err != nil {
				return err
			}
		}
		for i := range all {
			fn(all[i])
		}
		return nil
	})
}

// heldAbove reads the machines themselves.
func heldAbove(ctx context.Context, tx *Tx, above int64, limit int) ([]store.Held, error) {
	var all []store.Held
	err := each(ctx, tx, func(rows *sql.Rows) error {
		h := store.Held{States: map[muster.Dataset]store.State{}, Rows: map[store.ItemKind][]store.Item{}}
		var device, attributes sql.NullString
		var seen sql.NullInt64
		err := rows.Scan(&h.ID, &h.Tenant, &h.TenantID, &h.MachineID, &device, &attributes, &seen, &h.Counted, &h.Platform, &h.Group)
		h.Device, h.Attributes, h.LastSeen = device.String, []byte(attributes.String), fromMicros(seen)
		all = append(all, h)
		return err
	}, `SELECT m.id, m.tenant_id, t.tenant_id, m.machine_id, d.device_id, m.attributes, m.last_seen, m.counted, m.platform, m.device_group
		FROM machine m JOIN tenant t ON t.id = m.tenant_id LEFT JOIN device d ON d.id = m.device_id WHERE m.id > $1 ORDER BY m.id LIMIT $2`, above, limit)
	return all, err
}

// whatHangsOn reads the states and scopes of machines.
func whatHangsOn(ctx context.Context, tx *Tx, at map[int64]*store.Held, above, last int64) error {
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var d muster.Dataset
		st, err := scanState(rows, &d)
		if h := at[st.Machine]; h != nil {
			h.States[d] = st
		}
		return err
	}, `SELECT `+stateColumns+`, dataset FROM machine_dataset WHERE machine_id > $1 AND machine_id <= $2`, above, last)
	if err != nil {
		return err
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var machine int64
		var scope store.ScopedBy
		var since sql.NullInt64
		err := rows.Scan(&machine, &scope.Connector, &scope.Reason, &since)
		scope.Since = fromMicros(since)
		if h := at[machine]; h != nil {
			h.Scopes = append(h.Scopes, scope)
		}
		return err
	}, `SELECT machine_id, connector_id, reason, since FROM machine_scope WHERE machine_id > $1 AND machine_id <= $2`, above, last)
}

// TenantStates implements store.Integrity.
func (s *Store) TenantStates(ctx context.Context, fn func(store.TenantState)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var st store.TenantState
		var snapshot, since, guarded sql.NullInt64
		err := rows.Scan(&st.Tenant, &st.Dataset, &snapshot, &st.RowsRead, &st.MappingVersion, &since, &guarded, &st.Present)
		st.Snapshot = fromMicros(snapshot)
		st.Guard = muster.Guard{Since: fromMicros(since), Snapshot: fromMicros(guarded)}
		fn(st)
		return err
	}, `SELECT tenant_id, dataset, snapshot, rows_read, mapping_version, guard_since, guard_snapshot, present FROM dataset_state ORDER BY tenant_id, dataset`)
}

// StagedSegments implements store.Integrity.
func (s *Store) StagedSegments(ctx context.Context) ([]store.StagedSegment, error) {
	var all []store.StagedSegment
	err := s.each(ctx, func(rows *sql.Rows) error {
		var seg store.StagedSegment
		err := rows.Scan(&seg.ID, &seg.Run, &seg.Dataset, &seg.Records, &seg.Chunks)
		all = append(all, seg)
		return err
	}, `SELECT id, run_id, dataset, records, chunks FROM segment ORDER BY id`)
	return all, err
}

// DecidedScopes implements store.Integrity.
func (s *Store) DecidedScopes(ctx context.Context, fn func(int64, []byte)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var run int64
		var scope []byte
		err := rows.Scan(&run, &scope)
		fn(run, scope)
		return err
	}, `SELECT id, scope FROM run WHERE scope IS NOT NULL ORDER BY id`)
}

// AllFacts implements store.Integrity.
func (s *Store) AllFacts(ctx context.Context, fn func(int64, store.Facts, *store.Class)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var f store.Facts
		var hash []byte
		var severity, exploitability sql.NullString
		err := rows.Scan(&id, &hash, &f.Document, &severity, &exploitability)
		copy(f.Hash[:], hash)
		var class *store.Class
		if severity.Valid {
			class = &store.Class{Severity: severity.String, Exploitability: exploitability.String}
		}
		fn(id, f, class)
		return err
	}, `SELECT f.id, f.hash, f.attributes, c.severity, c.exploitability FROM facts f LEFT JOIN finding_class c ON c.id = f.class_id`)
}

// CountedTenants implements store.Integrity.
func (s *Store) CountedTenants(ctx context.Context) (map[int64]string, error) {
	all := map[int64]string{}
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var tenant string
		err := rows.Scan(&id, &tenant)
		all[id] = tenant
		return err
	}, `SELECT id, tenant_id FROM tenant WHERE counted = 1`)
	return all, err
}

// AllTallies implements store.Integrity.
func (s *Store) AllTallies(ctx context.Context, tenant int64, fn func(store.TallyKind, int64, int64)) error {
	return s.view(ctx, func(tx *Tx) error {
		sums, _, err := readDeltas(ctx, tx, tenant)
		if err != nil {
			return err
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			t := tally{tenant: tenant}
			var devices int64
			err := rows.Scan(&t.kind, &t.item, &devices)
			fn(t.kind, t.item, devices+sums[t])
			delete(sums, t)
			return err
		}, `SELECT kind, item_id, devices FROM device_tally WHERE tenant_id = $1`, tenant)
		for t, devices := range sums {
			fn(t.kind, t.item, devices)
		}
		return err
	})
}

// Pending implements store.Integrity.
func (s *Store) Pending(ctx context.Context, tenant int64) (flows map[store.Bucket]store.Flow, err error) {
	err = s.view(ctx, func(tx *Tx) error {
		flows, _, err = pendingFlows(ctx, tx, tenant)
		return err
	})
	return flows, err
}

// AllEvidence implements store.Integrity.
func (s *Store) AllEvidence(ctx context.Context, fn func(store.Evidence)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var e store.Evidence
		var hash []byte
		err := rows.Scan(&hash, &e.DiskPaths, &e.RegistryPaths)
		copy(e.Hash[:], hash)
		fn(e)
		return err
	}, `SELECT hash, disk_paths, registry_paths FROM evidence`)
}
