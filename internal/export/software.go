package export

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

const endOfSupport = "Software.Package[].EndOfSupport."

// origin is how software is known; the two never mix (SPEC §2.4).
type origin struct {
	name, ended string
	kind        store.ItemKind
	dataset     muster.Dataset
}

var origins = []origin{
	{"inventory", "removed", store.InstalledSoftware, muster.Software},
	{"vulnerability rows", "no_longer_reported", store.ReportedSoftware, muster.Vulnerabilities},
}

type software struct {
	*exporter
	*picked
	store.SoftwareKey
	store.Item
	origin    *origin
	facts     facts
	confirmed time.Time // of the machine
}

var softwareColumns = []column[software]{
	key("tenant_id", func(s *software) cell { return text(s.Tenant) }),
	key("machine_id", func(s *software) cell { return text(s.MachineID) }),
	key("vendor", func(s *software) cell { return text(s.Vendor) }),
	key("name", func(s *software) cell { return text(s.Name) }),
	key("version", func(s *software) cell { return text(s.Version) }),
	key("origin", func(s *software) cell { return text(s.origin.name) }),
	col("state", func(s *software) cell {
		if s.Open() {
			return text("installed")
		}
		return text(s.origin.ended)
	}),
	col("first_seen", func(s *software) cell { return firstSeen(&s.Item) }),
	col("last_confirmed", func(s *software) cell { return instant(lastConfirmed(&s.Item, s.confirmed)) }),
	col("ended_at", func(s *software) cell { return instant(s.ClosedAt) }),
	col("end_of_support_status", func(s *software) cell { return s.facts[endOfSupport+"Status"] }),
	col("end_of_support_date", func(s *software) cell { return s.facts[endOfSupport+"Date"] }),
	col("disk_paths", func(s *software) cell { return s.paths(s.Evidence, diskPaths) }),
	col("registry_paths", func(s *software) cell { return s.paths(s.Evidence, registryPaths) }),
}

func writeSoftware(ctx context.Context, e *exporter) error {
	found, err := e.inOrder(ctx)
	if err != nil {
		return err
	}
	out, err := begin(e, softwareColumns)
	if err != nil {
		return err
	}
	keys := newCache(cachedExposures, e.stores.SoftwareOf)
	for some := range slices.Chunk(found, block) {
		var rows [2]map[int64][]store.Item
		var confirmed [2]map[int64]time.Time
		for o := range origins {
			if rows[o], confirmed[o], err = e.rowsOf(ctx, origins[o].kind, origins[o].dataset, e.options.wants, some); err != nil {
				return err
			}
		}
		for i := range some {
			m := &some[i]
			var all []software
			for o := range origins {
				for _, item := range rows[o][m.ID] {
					all = append(all, software{exporter: e, picked: m, Item: item, origin: &origins[o], confirmed: confirmed[o][m.ID]})
				}
			}
			if err := e.complete(ctx, keys, all); err != nil {
				return err
			}
			for s := range all {
				if err := out.row(&all[s]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// complete fills in and sorts the software of one machine.
func (e *exporter) complete(ctx context.Context, keys *cache[int64, store.SoftwareKey], rows []software) error {
	items := make([]store.Item, len(rows))
	for i := range rows {
		items[i] = rows[i].Item
	}
	if err := keys.load(ctx, itemIDs(items)); err != nil {
		return err
	}
	if err := e.loadRows(ctx, items); err != nil {
		return err
	}
	for i := range rows {
		rows[i].SoftwareKey, rows[i].facts = keys.held[rows[i].Item.ID], e.facts.held[rows[i].Facts]
	}
	slices.SortFunc(rows, func(a, b software) int {
		return cmp.Or(compareSoftware(a.SoftwareKey, b.SoftwareKey), cmp.Compare(a.origin.name, b.origin.name))
	})
	return nil
}
