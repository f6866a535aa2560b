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
	key("tenant_id", formText, saysTenant, func(s *software) cell { return text(s.Tenant) }),
	key("machine_id", formText, saysMachine, func(s *software) cell { return text(s.MachineID) }),
	key("vendor", formText, "\"\" where the source gives none", func(s *software) cell { return text(s.Vendor) }),
	key("name", formText, "Likewise", func(s *software) cell { return text(s.Name) }),
	key("version", formText, "Likewise", func(s *software) cell { return text(s.Version) }),
	key("origin", formText, "`inventory` or `vulnerability rows`; the two are never mixed", func(s *software) cell { return text(s.origin.name) }),
	full("state", formText, "`installed`, `removed` (inventory) or `no_longer_reported` (vulnerability rows)", func(s *software) cell {
		if s.Open() {
			return text("installed")
		}
		return text(s.origin.ended)
	}),
	col("first_seen", formTime, "The earliest the source ever gave", func(s *software) cell { return firstSeen(&s.Item) }),
	col("last_confirmed", formTime, "Latest time that a row of the machine was seen at the source; of an ended one at its end", func(s *software) cell { return instant(lastConfirmed(&s.Item, s.confirmed)) }),
	col("ended_at", formTime, "When the source no longer had it; null while installed", func(s *software) cell { return instant(s.ClosedAt) }),
	attribute("end_of_support_status", endOfSupport+"Status", (*software).fact),
	attribute("end_of_support_date", endOfSupport+"Date", (*software).fact),
	full("disk_paths", formList, "Where on disk it was found", func(s *software) cell { return s.paths(s.Evidence, diskPaths) }),
	full("registry_paths", formList, "Where in the registry it was found", func(s *software) cell { return s.paths(s.Evidence, registryPaths) }),
}

func (s *software) fact(target string) cell { return s.facts[target] }

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
