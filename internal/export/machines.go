package export

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"muster"
	"muster/internal/mapping"
)

// block is how many machines are read at a time.
const block = 128

type machine struct {
	*picked
	assessed time.Time
	members  map[string]json.RawMessage // by target attribute, of all datasets with one row a machine
}

var machineColumns = slices.Concat([]column[machine]{
	key("tenant_id", formText, saysTenant, func(m *machine) cell { return text(m.Tenant) }),
	key("machine_id", formText, saysMachine, func(m *machine) cell { return text(m.MachineID) }),
	full("device_id", formText, "The device that it is, as in the devices export", func(m *machine) cell { return text(m.Device) }),
	full("connectors", formList, "Names of the connectors that hold it, in scope or out", func(m *machine) cell { return list(m.connectors()) }),
	full("in_scope", formBoolean, saysInScope, func(m *machine) cell { return boolean(m.inScope) }),
	col("scope_reason", formText, saysReason, func(m *machine) cell { return m.scopeReason() }),
	col("out_of_scope_since", formTime, "Null while in scope", func(m *machine) cell { return instant(m.since) }),
	col("assessed_at", formTime, "Source time of the last read of vulnerabilities that judged it", func(m *machine) cell { return instant(m.assessed) }),
	full("Discovery.MDE.MachineId", formText, "`machine_id` again, under the name of its target attribute", func(m *machine) cell { return text(m.MachineID) }),
}, attributeColumns())

// What several exports say of a column.
const (
	saysTenant  = "Directory (tenant) id"
	saysMachine = "The machine's id at the source"
	saysInScope = "Whether a connector's filters let it in"
	saysReason  = "Why not: `stale`, `tag`, `not_onboarded`, `no_date`, `merged`, `superseded`, `missing` or `connector_deleted`"
)

// attributeColumns are the target attributes of a machine under their own names.
func attributeColumns() []column[machine] {
	var columns []column[machine]
	for _, target := range mapping.MachineKeys() {
		c := attribute(target, target, (*machine).member)
		c.says = sources(target)
		columns = append(columns, c)
	}
	return columns
}

// sources says where a target attribute comes from.
func sources(target string) string {
	var properties []string
	endpoint := ""
	for _, a := range mapping.Attributes() {
		if a.Stored == mapping.InDocument && a.Key == target {
			properties, endpoint = append(properties, "`"+a.Source+"`"), a.Endpoint
		}
	}
	return strings.Join(properties, ", ") + " of `" + endpoint + "`"
}

func (m *machine) member(target string) cell { return value(m.members[target]) }

func writeMachines(ctx context.Context, e *exporter) error {
	found, err := e.inOrder(ctx)
	if err != nil {
		return err
	}
	out, err := begin(e, machineColumns)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(found, block) {
		rows, err := e.describe(ctx, some)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := out.row(&rows[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe reads all attributes of some machines.
func (e *exporter) describe(ctx context.Context, some []picked) ([]machine, error) {
	ids := idsOf(some)
	listed, err := e.stores.Machines(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]machine, len(some))
	for i := range some {
		rows[i].picked = &some[i]
		rows[i].members = map[string]json.RawMessage{}
		if err := rows[i].add(listed[ids[i]].Attributes); err != nil {
			return nil, err
		}
	}
	for _, d := range []muster.Dataset{muster.Antivirus, muster.Information} {
		states, err := e.stores.States(ctx, d, ids)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if err := rows[i].add(states[ids[i]].Attributes); err != nil {
				return nil, err
			}
		}
	}
	assessed, err := e.assessed(ctx, ids)
	for i := range rows {
		rows[i].assessed = assessed[ids[i]]
	}
	return rows, err
}

func (m *machine) add(raw []byte) error {
	members, err := document(raw)
	maps.Copy(m.members, members)
	return err
}

// assessed is when a read of vulnerabilities last judged each machine.
func (e *exporter) assessed(ctx context.Context, ids []int64) (map[int64]time.Time, error) {
	states, err := e.stores.States(ctx, muster.Vulnerabilities, ids)
	at := make(map[int64]time.Time, len(states))
	for id, s := range states {
		at[id] = s.Known.AssessedAt
	}
	return at, err
}
