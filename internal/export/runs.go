package export

import (
	"context"
	"slices"
	"strconv"

	"muster"
)

var runColumns = slices.Concat([]column[muster.Run]{
	key("id", formInteger, "", func(r *muster.Run) cell { return integer(r.ID) }),
	full("connector", formText, "Its name", func(r *muster.Run) cell { return text(r.Connector) }),
	full("server", formText, "Name of the connector server that gathered; \"\" without one", func(r *muster.Run) cell { return text(r.Server) }),
	full("trigger", formText, "What started it: `sync`, `schedule` or `run now`", func(r *muster.Run) cell { return text(r.Trigger) }),
	full("state", formText, "See [run states](run-states.md)", func(r *muster.Run) cell { return text(string(r.State)) }),
	full("queued_at", formTime, "", func(r *muster.Run) cell { return instant(r.QueuedAt) }),
	col("started_at", formTime, "", func(r *muster.Run) cell { return instant(r.StartedAt) }),
	col("finished_at", formTime, "", func(r *muster.Run) cell { return instant(r.FinishedAt) }),
	col("error_code", formText, "Why it failed", func(r *muster.Run) cell {
		if r.Error == nil {
			return cell{}
		}
		return text(r.Error.Code)
	}),
	full("api_calls", formInteger, "", func(r *muster.Run) cell { return integer(r.Traffic.APICalls) }),
	full("throttled_seconds", formNumber, "Waited because the source asked for it", func(r *muster.Run) cell {
		return cell{kind: jsonText, text: strconv.FormatFloat(r.Traffic.Throttled.Seconds(), 'f', -1, 64)}
	}),
	full("bytes", formInteger, "Received, as they came over the wire", func(r *muster.Run) cell { return integer(r.Traffic.Bytes) }),
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
			columns = append(columns, col(string(d)+"_"+c.name, formInteger, "", func(r *muster.Run) cell {
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
