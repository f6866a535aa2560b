package export

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"muster"
	"muster/internal/store"
)

var totalColumns = []column[store.Total]{
	key("day", formText, "UTC, by the source's time", func(t *store.Total) cell { return text(t.Day) }),
	key("organisation", formText, "", func(t *store.Total) cell { return text(t.Organisation) }),
	nullable(key("severity", formText, "", func(t *store.Total) cell { return textOrNull(t.Severity) })),
	nullable(key("platform", formText, "`"+store.PlatformAttribute+"`", func(t *store.Total) cell { return textOrNull(t.Platform) })),
	nullable(key("device_group", formText, "`"+store.GroupAttribute+"`", func(t *store.Total) cell { return textOrNull(t.Group) })),
	full("open", formInteger, "Open findings of machines in scope", func(t *store.Total) cell { return integer(t.Open) }),
	full("opened", formInteger, "Since the day before that has totals, as are the next four", func(t *store.Total) cell { return integer(t.Opened) }),
	full("fixed", formInteger, "", func(t *store.Total) cell { return integer(t.Fixed) }),
	full("reopened", formInteger, "", func(t *store.Total) cell { return integer(t.Reopened) }),
	full("entered_scope", formInteger, "Came into the scope, or from another severity, platform or group", func(t *store.Total) cell { return integer(t.Entered) }),
	full("left_scope", formInteger, "The other way round", func(t *store.Total) cell { return integer(t.Left) }),
}

// writeTotals adds up the picked tenants. A day on which none was read whole has no rows;
// on a day that only others have, a tenant counts with what was open of it before.
func writeTotals(ctx context.Context, e *exporter) error {
	if len(e.options.Connectors) > 0 {
		return muster.Invalid("connector", "daily totals are not kept by connector", "Leave --connector out, or pick a tenant with --tenant.")
	}
	tenants, days, err := e.totals(ctx)
	if err != nil {
		return err
	}
	out, err := begin(e, totalColumns)
	if err != nil {
		return err
	}
	last := make([]map[store.Bucket]store.Total, len(tenants)) // of each tenant, as of the day before
	for _, day := range days {
		sums := map[store.Bucket]store.Total{}
		for i, byDay := range tenants {
			today, read := byDay[day]
			if read {
				last[i] = today
			}
			for b, t := range last[i] {
				sum := sums[b]
				sum.Day, sum.Bucket = day, b
				if sum.Open += t.Open; read {
					sum.Add(t.Flow)
				}
				sums[b] = sum
			}
		}
		for _, b := range slices.SortedFunc(maps.Keys(sums), compareBuckets) {
			if t := sums[b]; t.Open != 0 || t.Flow != (store.Flow{}) {
				if err := out.row(&t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func compareBuckets(a, b store.Bucket) int {
	return cmp.Or(cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Group, b.Group))
}

// totals reads the picked tenants' totals by day, and the days that any of them has.
func (e *exporter) totals(ctx context.Context) (tenants []map[string]map[store.Bucket]store.Total, days []string, err error) {
	known, err := e.stores.Tenants(ctx)
	if err != nil {
		return nil, nil, err
	}
	all := map[string]bool{}
	for _, name := range known {
		if e.tenants != nil && !e.tenants[name] {
			continue
		}
		byDay := map[string]map[store.Bucket]store.Total{}
		read, err := e.stores.TotalsOf(ctx, name, func(t store.Total) {
			if byDay[t.Day] == nil {
				byDay[t.Day] = map[store.Bucket]store.Total{}
			}
			byDay[t.Day][t.Bucket] = t
		})
		if err != nil {
			return nil, nil, err
		}
		for _, d := range read {
			if all[d.Day] = true; byDay[d.Day] == nil {
				byDay[d.Day] = map[store.Bucket]store.Total{} // nothing is open, which is no gap
			}
		}
		tenants = append(tenants, byDay)
	}
	return tenants, slices.Sorted(maps.Keys(all)), nil
}
