package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"muster"
)

// runJSON is the one object that --json prints; its names are a contract.
type runJSON struct {
	State      string                         `json:"state"`
	StartedAt  *time.Time                     `json:"started_at"`
	FinishedAt *time.Time                     `json:"finished_at"`
	Connector  string                         `json:"connector"`
	TenantID   *string                        `json:"tenant_id"`
	Warnings   []muster.Notice                `json:"warnings"`
	Error      *muster.Notice                 `json:"error"`
	APICalls   int64                          `json:"api_calls"`
	Throttled  float64                        `json:"throttled_seconds"`
	Bytes      int64                          `json:"bytes"`
	Datasets   map[muster.Dataset]datasetJSON `json:"datasets"`
}

type datasetJSON struct {
	Mode           muster.Mode `json:"mode"`
	Complete       bool        `json:"complete"`
	SourceTime     *time.Time  `json:"source_time"`
	Read           int64       `json:"read"`
	New            int64       `json:"new"`
	Changed        int64       `json:"changed"`
	Unchanged      int64       `json:"unchanged"`
	Closed         int64       `json:"closed"`
	Reopened       int64       `json:"reopened"`
	OutOfScope     int64       `json:"out_of_scope"`
	Rejected       int64       `json:"rejected"`
	Duplicates     int64       `json:"duplicates"`
	SkippedBecause *string     `json:"skipped_because"`
}

func writeRun(w io.Writer, run muster.Run) error {
	out := runJSON{
		State: string(run.State), StartedAt: instant(run.StartedAt), FinishedAt: instant(run.FinishedAt), Connector: run.Connector, TenantID: known(run.TenantID),
		Warnings: run.Warnings, Error: run.Error, APICalls: run.Traffic.APICalls, Throttled: run.Traffic.Throttled.Seconds(), Bytes: run.Traffic.Bytes,
		Datasets: map[muster.Dataset]datasetJSON{},
	}
	for name, d := range run.Datasets {
		c := d.Counts
		j := datasetJSON{
			Mode: d.Mode, Complete: d.Complete, SourceTime: instant(d.SourceTime), Read: c.Read, New: c.New, Changed: c.Changed, Unchanged: c.Unchanged,
			Closed: c.Closed, Reopened: c.Reopened, OutOfScope: c.OutOfScope, Rejected: c.Rejected, Duplicates: c.Duplicates,
		}
		if d.Mode == muster.ModeSkipped {
			j.SkippedBecause = &d.SkippedBecause
		}
		out.Datasets[name] = j
	}
	return writeObject(w, out)
}

// writeFailure is the object of a run that could not begin.
func writeFailure(w io.Writer, e *muster.Error) error {
	out := runJSON{State: string(muster.Failed), Warnings: []muster.Notice{}, Datasets: map[muster.Dataset]datasetJSON{}}
	if errors.Is(e, context.Canceled) {
		out.State = string(muster.Cancelled)
	} else {
		notice := e.Notice()
		out.Error = &notice
	}
	return writeObject(w, out)
}

func writeObject(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
