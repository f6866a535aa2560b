package export

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

const check = "Security.Configuration[]."

type configuration struct {
	*picked
	store.Item
	id        string
	facts     facts
	confirmed time.Time // of the machine
}

var configurationColumns = []column[configuration]{
	key("tenant_id", formText, saysTenant, func(c *configuration) cell { return text(c.Tenant) }),
	key("machine_id", formText, saysMachine, func(c *configuration) cell { return text(c.MachineID) }),
	key("configuration_id", formText, "Id of the check", func(c *configuration) cell { return text(c.id) }),
	attribute("category", check+"Category", (*configuration).fact),
	attribute("subcategory", check+"Subcategory", (*configuration).fact),
	attribute("impact", check+"Impact", (*configuration).fact),
	attribute("is_compliant", check+"IsCompliant", (*configuration).fact),
	attribute("is_applicable", check+"IsApplicable", (*configuration).fact),
	col("timestamp", formTime, "When the check was made", func(c *configuration) cell {
		if c.Number == store.Null || c.confirmed.IsZero() {
			return cell{}
		}
		return instant(c.confirmed.Add(-time.Duration(c.Number) * time.Microsecond))
	}),
	col("last_confirmed", formTime, "Latest timestamp of the machine's checks", func(c *configuration) cell { return instant(c.confirmed) }),
}

func (c *configuration) fact(target string) cell { return c.facts[target] }

func writeConfiguration(ctx context.Context, e *exporter) error {
	ids := newCache(cachedExposures, e.stores.ConfigurationsOf)
	out, err := begin(e, configurationColumns)
	if err != nil {
		return err
	}
	standing := func(open bool) bool { return open }
	return e.eachBlock(ctx, store.Configurations, muster.Configuration, standing, func(some []picked, rows map[int64][]store.Item, confirmed map[int64]time.Time) error {
		for i := range some {
			m := &some[i]
			items := rows[m.ID]
			if err := ids.load(ctx, itemIDs(items)); err != nil {
				return err
			}
			if err := e.loadRows(ctx, items); err != nil {
				return err
			}
			slices.SortFunc(items, func(a, b store.Item) int { return cmp.Compare(ids.held[a.ID], ids.held[b.ID]) })
			for _, item := range items {
				c := configuration{picked: m, Item: item, id: ids.held[item.ID], facts: e.facts.held[item.Facts], confirmed: confirmed[m.ID]}
				if err := out.row(&c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
