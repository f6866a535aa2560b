package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"muster"
	"muster/internal/store"
)

// Stores is what exports need of the database.
type Stores interface {
	store.Exports
	Connector(ctx context.Context, name string) (muster.Connector, error)
	Machines(ctx context.Context, ids []int64) (map[int64]store.MachineRow, error)
	States(ctx context.Context, d muster.Dataset, machines []int64) (map[int64]store.State, error)
	FactsOf(ctx context.Context, ids []int64) (map[int64][]byte, error)
	EvidenceOf(ctx context.Context, hashes [][16]byte) (map[[16]byte]store.Evidence, error)
	MetCVEs(ctx context.Context) (map[string]int64, error)
	CatalogueRows(ctx context.Context, cves []int64) (map[int64][]byte, error)
	ExposureSoftware(ctx context.Context, above int64, each func(exposure int64, k store.ExposureKey)) error
}

// definition is one export: its columns and who writes it; nil is not in this version.
type definition struct {
	columns []heading
	write   func(ctx context.Context, e *exporter) error
}

func define[T any](columns []column[T], write func(ctx context.Context, e *exporter) error) definition {
	return definition{headings(columns), write}
}

// order of the exports in help and errors.
var order = []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals", "runs", "audit"}

var exports = map[string]definition{
	"devices":         define(deviceColumns, writeDevices),
	"machines":        define(machineColumns, writeMachines),
	"software":        define(softwareColumns, writeSoftware),
	"findings":        define(findingColumns, writeFindings),
	"configuration":   define(configurationColumns, writeConfiguration),
	"vulnerabilities": define(vulnerabilityColumns, writeVulnerabilities),
	"history":         define(historyColumns, writeHistory),
	"totals":          define(totalColumns, writeTotals),
	"runs":            define(runColumns, writeRuns),
	"audit":           define(auditColumns, nil),
}

// Names lists the exports.
func Names() []string { return slices.Clone(order) }

// Columns lists the columns of an export, nil for an unknown one.
func Columns(name string) []string { return names(exports[name].columns) }

// exporter is one export under way.
type exporter struct {
	stores     Stores
	options    Options
	connectors map[int64]bool // nil = all
	tenants    map[string]bool
	out        rowWriter
	rows       int64
	facts      *cache[int64, facts]
	evidence   *cache[[16]byte, store.Evidence]
}

// Write writes one export and returns its number of rows. Options are validated before
// the first byte is written.
func Write(ctx context.Context, stores Stores, w io.Writer, o Options) (int64, error) {
	if err := o.Validate(); err != nil {
		return 0, err
	}
	e := &exporter{stores: stores, options: o, out: newWriter(w, o)}
	e.facts = newCache(cachedFacts, func(ctx context.Context, ids []int64) (map[int64]facts, error) { return e.readFacts(ctx, ids) })
	e.evidence = newCache(cachedEvidence, stores.EvidenceOf)
	if err := e.pick(ctx); err != nil {
		return 0, err
	}
	if err := exports[o.Name].write(ctx, e); err != nil {
		return e.rows, err
	}
	return e.rows, e.out.flush()
}

// pick finds the named connectors and tenants; unknown ones are refused, for an empty
// file would look like an answer.
func (e *exporter) pick(ctx context.Context) error {
	for _, name := range e.options.Connectors {
		c, err := e.stores.Connector(ctx, name)
		if errors.Is(err, muster.ErrNotFound) {
			return muster.Invalid("connector", fmt.Sprintf("there is no connector %q", name), "Check the name; muster export runs lists the connectors that have run.")
		}
		if err != nil {
			return err
		}
		if e.connectors == nil {
			e.connectors = map[int64]bool{}
		}
		e.connectors[c.ID] = true
	}
	if len(e.options.Tenants) == 0 {
		return nil
	}
	known, err := e.stores.Tenants(ctx)
	if err != nil {
		return err
	}
	e.tenants = map[string]bool{}
	for _, id := range e.options.Tenants {
		at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, id) })
		if at < 0 {
			return muster.Invalid("tenant", fmt.Sprintf("no tenant %q was ever read", id), "Give the directory (tenant) id, a GUID.")
		}
		e.tenants[known[at]] = true
	}
	return nil
}

// lastConfirmed is when a row was last seen: an open one with its machine.
func lastConfirmed(i *store.Item, machine time.Time) time.Time {
	if i.Open() {
		return machine
	}
	return i.Confirmed
}
