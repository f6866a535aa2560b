package export

import (
	"context"
	"slices"
	"strconv"

	"muster"
)

var runColumns = slices.Concat([]column[muster.Run]{
	key("id", func(r *muster.Run) cell { return integer(r.ID) }),
	col("connector", func(r *muster.Run) cell { return text(r.Connector) }),
	col("server", func(r *muster.Run) cell { return text(r.Server) }),
	col("trigger", func(r *muster.Run) cell { return text(r.Trigger) }),
	col("state", func(r *muster.Run) cell { return text(string(r.State)) }),
	col("queued_at", func(r *muster.Run) cell { return instant(r.QueuedAt) }),
	col("started_at", func(r *muster.Run) cell { return instant(r.StartedAt) }),
	col("finished_at", func(r *muster.Run) cell { return instant(r.FinishedAt) }),
	col("error_code", func(r *muster.Run) cell {
		if r.Error == nil {
			return cell{}
		}
		return text(r.Error.Code)
	}),
	col("api_calls", func(r *muster.Run) cell { return integer(r.Traffic.APICalls) }),
	col("throttled_seconds", func(r *muster.Run) cell {
		return cell{jsonText, strconv.FormatFloat(r.Traffic.Throttled.Seconds(), 'f', -1, 64)}
	}),
	col("bytes", func(r *muster.Run) cell { return integer(r.Traffic.Bytes) }),
}, counterColumns())

// counterColumns are the counters of each dataset, null where the run did not plan it.
func counterColumns() []column[muster.Run] {
	var columns []column[muster.Run]
	for _, d := range muster.Datasets {
		for _, c := range []struct {
			name string
			of   func(*muster.Counts) int64
		}{
			{"read", func(c *muster.Counts) int64 { return c.Read }},
			{"new", func(c *muster.Counts) int64 { return c.New }},
			{"changed", func(c *muster.Counts) int64 { return c.Changed }},
			{"unchanged", func(c *muster.Counts) int64 { return c.Unchanged }},
			{"closed", func(c *muster.Counts) int64 { return c.Closed }},
			{"reopened", func(c *muster.Counts) int64 { return c.Reopened }},
			{"out_of_scope", func(c *muster.Counts) int64 { return c.OutOfScope }},
			{"rejected", func(c *muster.Counts) int64 { return c.Rejected }},
			{"duplicates", func(c *muster.Counts) int64 { return c.Duplicates }},
		} {
			columns = append(columns, col(string(d)+"_"+c.name, func(r *muster.Run) cell {
				result := r.Datasets[d]
				if result == nil {
					return cell{}
				}
				return integer(c.of(&result.Counts))
			}))
		}
	}
	return columns
}

// runBlock is how many runs are read at a time.
const runBlock = 200

func writeRuns(ctx context.Context, e *exporter) error {
	out, err := begin(e, runColumns)
	if err != nil {
		return err
	}
	names := e.connectorKeys()
	var last int64
	for {
		runs, err := e.stores.RunsAbove(ctx, last, runBlock)
		if err != nil || len(runs) == 0 {
			return err
		}
		for i := range runs {
			r := &runs[i]
			last = r.ID
			if names != nil && !names[muster.NameKey(r.Connector)] || e.tenants != nil && !e.tenants[r.TenantID] {
				continue
			}
			if err := out.row(r); err != nil {
				return err
			}
		}
	}
}

// connectorKeys are the picked connectors by name, nil for all; pick has checked them.
func (e *exporter) connectorKeys() map[string]bool {
	if e.connectors == nil {
		return nil
	}
	names := map[string]bool{}
	for _, name := range e.options.Connectors {
		names[muster.NameKey(name)] = true
	}
	return names
}
