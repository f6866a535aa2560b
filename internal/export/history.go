package export

import (
	"cmp"
	"context"
	"slices"

	"muster/internal/mapping"
	"muster/internal/store"
)

type change struct {
	*picked
	store.Change
	at string
}

var historyColumns = []column[change]{
	key("tenant_id", formText, saysTenant, func(c *change) cell { return text(c.Tenant) }),
	key("machine_id", formText, saysMachine, func(c *change) cell { return text(c.MachineID) }),
	key("at", formTime, "When the change was read", func(c *change) cell { return instant(c.At) }),
	key("attribute", formText, "The target attribute, as in the machines export", func(c *change) cell { return text(c.Attribute) }),
	col("old", formJSON, "Its value before; null for none", func(c *change) cell { return value(c.Old) }),
	col("new", formJSON, "Its value since; null for none", func(c *change) cell { return value(c.New) }),
}

// historyBlock is smaller than block: a machine may have years of changes.
const historyBlock = 16

func writeHistory(ctx context.Context, e *exporter) error {
	found, err := e.inOrder(ctx)
	if err != nil {
		return err
	}
	out, err := begin(e, historyColumns)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(found, historyBlock) {
		changes := map[int64][]change{}
		err := e.stores.ChangesOf(ctx, idsOf(some), func(c store.Change) {
			changes[c.Machine] = append(changes[c.Machine], change{Change: c, at: c.At.Format(mapping.TimeLayout)})
		})
		if err != nil {
			return err
		}
		for i := range some {
			all := changes[some[i].ID]
			slices.SortFunc(all, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Attribute, b.Attribute)) })
			for n := range all {
				all[n].picked = &some[i]
				if err := out.row(&all[n]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
