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
	key("tenant_id", func(f *finding) cell { return text(f.Tenant) }),
	key("machine_id", func(f *finding) cell { return text(f.MachineID) }),
	key("vendor", func(f *finding) cell { return text(f.Vendor) }),
	key("name", func(f *finding) cell { return text(f.Name) }),
	key("version", func(f *finding) cell { return text(f.Version) }),
	key("cve", func(f *finding) cell { return text(f.CVE) }),
	col("severity", func(f *finding) cell { return f.facts[vulnerability+"Severity"] }),
	col("cvss", func(f *finding) cell { return f.facts[vulnerability+"CVSS"] }),
	col("exploitability", func(f *finding) cell { return f.facts[vulnerability+"Exploitability"] }),
	col("state", func(f *finding) cell {
		if f.Open() {
			return text("open")
		}
		return text("fixed")
	}),
	col("first_seen", func(f *finding) cell { return firstSeen(&f.Item) }),
	col("last_confirmed", func(f *finding) cell { return instant(lastConfirmed(&f.Item, f.confirmed)) }),
	col("fixed_at", func(f *finding) cell { return instant(f.ClosedAt) }),
	col("reopened", func(f *finding) cell { return integer(f.Reopened) }),
	col("recommended_update", func(f *finding) cell { return f.facts[vulnerability+"Fix.Update"] }),
	col("recommended_update_id", func(f *finding) cell { return f.facts[vulnerability+"Fix.UpdateId"] }),
	col("recommended_update_url", func(f *finding) cell { return f.facts[vulnerability+"Fix.Url"] }),
	col("recommendation", func(f *finding) cell { return f.facts[vulnerability+"Recommendation"] }),
	col("disk_paths", func(f *finding) cell { return f.paths(f.Evidence, diskPaths) }),
	col("registry_paths", func(f *finding) cell { return f.paths(f.Evidence, registryPaths) }),
}

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
	each func(some []picked, rows map[int64][]store.Item, confirmed map[int64]time.Time) error) error {
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
