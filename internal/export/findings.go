package export

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

const vulnerability = "Security.Vulnerability[]."

type finding struct {
	*exporter
	*picked
	store.Exposure
	store.Item
	facts     facts
	confirmed time.Time // of the machine
}

var findingColumns = []column[finding]{
	key("tenant_id", formText, saysTenant, func(f *finding) cell { return text(f.Tenant) }),
	key("machine_id", formText, saysMachine, func(f *finding) cell { return text(f.MachineID) }),
	key("vendor", formText, "Vendor of the software; \"\" where the source gives none", func(f *finding) cell { return text(f.Vendor) }),
	key("name", formText, "Its name, likewise", func(f *finding) cell { return text(f.Name) }),
	key("version", formText, "Its version, likewise", func(f *finding) cell { return text(f.Version) }),
	key("cve", formText, "The CVE, or a temporary `TVM-…` id", func(f *finding) cell { return text(f.CVE) }),
	attribute("severity", vulnerability+"Severity", (*finding).fact),
	attribute("cvss", vulnerability+"CVSS", (*finding).fact),
	attribute("exploitability", vulnerability+"Exploitability", (*finding).fact),
	full("state", formText, "`open` or `fixed`", func(f *finding) cell {
		if f.Open() {
			return text("open")
		}
		return text("fixed")
	}),
	col("first_seen", formTime, "The earliest the source ever gave", func(f *finding) cell { return firstSeen(&f.Item) }),
	col("last_confirmed", formTime, "Latest time that a row of the machine was seen at the source; of a fixed one at its end", func(f *finding) cell { return instant(lastConfirmed(&f.Item, f.confirmed)) }),
	col("fixed_at", formTime, "When the source no longer had it; null while open", func(f *finding) cell { return instant(f.ClosedAt) }),
	full("reopened", formInteger, "How often it came back", func(f *finding) cell { return integer(f.Reopened) }),
	attribute("recommended_update", vulnerability+"Fix.Update", (*finding).fact),
	attribute("recommended_update_id", vulnerability+"Fix.UpdateId", (*finding).fact),
	attribute("recommended_update_url", vulnerability+"Fix.Url", (*finding).fact),
	attribute("recommendation", vulnerability+"Recommendation", (*finding).fact),
	full("disk_paths", formList, "Where on disk it was found", func(f *finding) cell { return f.paths(f.Evidence, diskPaths) }),
	full("registry_paths", formList, "Where in the registry it was found", func(f *finding) cell { return f.paths(f.Evidence, registryPaths) }),
}

func (f *finding) fact(target string) cell { return f.facts[target] }

func firstSeen(i *store.Item) cell {
	if i.Number == store.Null {
		return cell{}
	}
	return instant(time.UnixMicro(i.Number))
}

func writeFindings(ctx context.Context, e *exporter) error {
	exposures := newCache(cachedExposures, e.stores.ExposuresOf)
	out, err := begin(e, findingColumns)
	if err != nil {
		return err
	}
	return e.eachBlock(ctx, store.Findings, muster.Vulnerabilities, e.options.wants, func(some []picked, rows map[int64][]store.Item, confirmed map[int64]time.Time) error {
		for i := range some {
			m := &some[i]
			items := rows[m.ID]
			if err := exposures.load(ctx, itemIDs(items)); err != nil {
				return err
			}
			if err := e.loadRows(ctx, items); err != nil {
				return err
			}
			slices.SortFunc(items, func(a, b store.Item) int { return compareExposures(exposures.held[a.ID], exposures.held[b.ID]) })
			for _, item := range items {
				f := finding{exporter: e, picked: m, Exposure: exposures.held[item.ID], Item: item, facts: e.facts.held[item.Facts], confirmed: confirmed[m.ID]}
				if err := out.row(&f); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func compareExposures(a, b store.Exposure) int {
	return cmp.Or(compareSoftware(a.SoftwareKey, b.SoftwareKey), cmp.Compare(a.CVE, b.CVE))
}

func compareSoftware(a, b store.SoftwareKey) int {
	return cmp.Or(cmp.Compare(a.Vendor, b.Vendor), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// eachBlock reads the wanted rows of the machines of the asked scope, some machines at a time.
func (e *exporter) eachBlock(ctx context.Context, kind store.ItemKind, d muster.Dataset, wants func(open bool) bool,
	each func(some []picked, rows map[int64][]store.Item, confirmed map[int64]time.Time) error,
) error {
	found, err := e.inOrder(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(found, block) {
		rows, confirmed, err := e.rowsOf(ctx, kind, d, wants, some)
		if err != nil {
			return err
		}
		if err := each(some, rows, confirmed); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) rowsOf(ctx context.Context, kind store.ItemKind, d muster.Dataset, wants func(bool) bool, some []picked) (map[int64][]store.Item, map[int64]time.Time, error) {
	rows := map[int64][]store.Item{}
	confirmed, err := e.stores.RowsOf(ctx, kind, d, idsOf(some), func(i store.Item) {
		if wants(i.Open()) {
			rows[i.Machine] = append(rows[i.Machine], i)
		}
	})
	return rows, confirmed, err
}
