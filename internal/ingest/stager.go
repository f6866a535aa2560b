package ingest

import (
	"context"
	"fmt"
	"time"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
	"muster/internal/wire"
)

// stager turns the batches of one dataset into records.
type stager struct {
	desk      *desk
	dataset   muster.Dataset
	sequence  int64
	writer    segmentWriter
	parts     []string
	counts    muster.Counts
	rejected  []wire.Rejected
	nameless  bool // a rejected row's machine could not be told
	payload   []byte
	present   map[int64]bool           // machines out of scope that have rows
	described map[int64]bool           // CVEs that this reading has brought
	plans     map[string]*mapping.Plan // by table, for columns as last seen
	columns   map[string][]wire.Column
}

func newStager(d *desk, dataset muster.Dataset) *stager {
	return &stager{desk: d, dataset: dataset, present: map[int64]bool{}, described: map[int64]bool{}, plans: map[string]*mapping.Plan{}, columns: map[string][]wire.Column{}}
}

func (st *stager) needsScope() bool { return st.dataset != muster.Machines }

func (st *stager) take(ctx context.Context, b *wire.Batch) error {
	st.sequence = b.Sequence
	st.parts = append(st.parts, b.Parts...)
	st.counts.Read += int64(b.Len() + len(b.Rejected))
	var err error
	switch st.dataset {
	case muster.Machines:
		err = st.takeMachines(ctx, b)
	case muster.Antivirus, muster.Information:
		err = st.takeDocuments(ctx, b)
	case muster.Catalogue:
		err = st.takeCatalogue(ctx, b)
	default:
		err = st.takeRows(ctx, b)
	}
	if err != nil {
		return err
	}
	for _, r := range b.Rejected {
		if err := st.reject(ctx, r.Machine, r.Reason); err != nil {
			return err
		}
	}
	return nil
}

// reject counts a row that cannot be used and takes its machine out of the judgement.
func (st *stager) reject(ctx context.Context, machine, reason string) error {
	st.counts.Rejected++
	if len(st.rejected) < 20 {
		st.rejected = append(st.rejected, wire.Rejected{Machine: machine, Reason: reason})
	}
	if st.dataset == muster.Catalogue {
		return nil // no machine hangs on it
	}
	if machine == "" {
		st.nameless = true
		return nil
	}
	if st.dataset != muster.Machines {
		if id, ok := st.place(machine); ok {
			st.writer.add(uint64(id), rejectedItem, nil)
		}
		return nil
	}
	ids, err := st.desk.dictionary.store.MachineIDs(ctx, st.desk.run.Tenant, []string{machine})
	if err != nil {
		return err
	}
	st.writer.add(uint64(ids[0]), rejectedItem, nil)
	return nil
}

func (st *stager) plan(t *wire.Table) (*mapping.Plan, error) {
	if have, ok := st.columns[t.Name]; ok && len(have) == len(t.Columns) && &have[0] == &t.Columns[0] {
		return st.plans[t.Name], nil
	}
	p, err := mapping.Compile(string(st.dataset), t.Columns)
	if err != nil {
		return nil, err
	}
	st.plans[t.Name], st.columns[t.Name] = p, t.Columns
	return p, nil
}

// tuple reads raw texts of a table by column name.
type tuple struct {
	batch *wire.Batch
	at    map[string]int
	cells []int32
}

func columnsOf(t *wire.Table) map[string]int {
	at := make(map[string]int, len(t.Columns))
	for i, c := range t.Columns {
		at[c.Name] = i
	}
	return at
}

func (t tuple) text(name string) string {
	i, ok := t.at[name]
	if !ok || t.cells[i] == wire.NullCell {
		return ""
	}
	return t.batch.Texts[t.cells[i]]
}

func (t tuple) time(name string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, t.text(name))
	if err != nil {
		return time.Time{}
	}
	return at.UTC().Truncate(time.Microsecond)
}

func (t tuple) appendList(texts []string, name string) []string {
	i, ok := t.at[name]
	if !ok || t.cells[i] == wire.NullCell {
		return texts
	}
	for _, c := range t.batch.Lists[t.cells[i]] {
		if c != wire.NullCell {
			texts = append(texts, t.batch.Texts[c])
		}
	}
	return texts
}

func (st *stager) takeMachines(ctx context.Context, b *wire.Batch) error {
	table := &b.Tables[0]
	plan, err := st.plan(table)
	if err != nil {
		return err
	}
	t := tuple{batch: b, at: columnsOf(table)}
	names := make([]string, b.Len())
	for i := range names {
		t.cells = table.Tuple(b.Rows[i*b.Stride()])
		names[i] = t.text("id")
	}
	ids, err := st.desk.dictionary.store.MachineIDs(ctx, st.desk.run.Tenant, names)
	if err != nil {
		return err
	}
	for i := range names {
		t.cells = table.Tuple(b.Rows[i*b.Stride()])
		document, err := plan.Map(b, t.cells)
		if err != nil {
			if err := st.reject(ctx, names[i], err.Error()); err != nil {
				return err
			}
			continue
		}
		f := machineFacts{
			FirstSeen: t.time("firstSeen"), LastSeen: t.time("lastSeen"), Keys: keysOf(t),
			MergedInto: t.text("mergedIntoMachineId"), OnboardingStatus: t.text("onboardingStatus"), Tags: t.appendList(nil, "machineTags"),
		}
		st.payload = f.append(st.payload[:0], document.AppendJSON(nil))
		st.writer.add(uint64(ids[i]), 0, st.payload)
	}
	return nil
}

// place finds the machine that a row belongs to, following merges; 0 = the list has never
// held it. ok is false for machines out of scope and for those that the list lacks.
func (st *stager) place(machine string) (id int64, ok bool) {
	d := st.desk
	at, known := d.byMachine[machine]
	if !known {
		return 0, false
	}
	p := d.scope.placements[at]
	if p.survivor != 0 {
		if p, known = d.scope.find(p.survivor); !known {
			return 0, false
		}
	}
	return p.id, p.listed && p.reason == muster.InScope
}

// deviceColumn is how the datasets of one row a machine name it.
var deviceColumn = map[muster.Dataset][]string{
	muster.Antivirus:   {"machineId", "id"},
	muster.Information: {"deviceId", "DeviceId"},
}

// timeColumn orders doubles of them.
var timeColumn = map[muster.Dataset]string{muster.Antivirus: "dataRefreshTimestamp", muster.Information: "timestamp"}

func (st *stager) takeDocuments(ctx context.Context, b *wire.Batch) error {
	table := &b.Tables[0]
	plan, err := st.plan(table)
	if err != nil {
		return err
	}
	t := tuple{batch: b, at: columnsOf(table)}
	for i := range b.Len() {
		t.cells = table.Tuple(b.Rows[i*b.Stride()])
		var machine string
		for _, name := range deviceColumn[st.dataset] {
			if machine == "" {
				machine = t.text(name)
			}
		}
		id, ok := st.place(machine)
		if !ok {
			st.counts.OutOfScope++
			continue
		}
		document, err := plan.Map(b, t.cells)
		if err != nil {
			if err := st.reject(ctx, machine, err.Error()); err != nil {
				return err
			}
			continue
		}
		st.payload = document.AppendJSON(order(st.payload[:0], timeNumber(t.time(timeColumn[st.dataset]))))
		st.writer.add(uint64(id), 0, st.payload)
	}
	return nil
}

func (st *stager) takeCatalogue(ctx context.Context, b *wire.Batch) error {
	table := &b.Tables[0]
	plan, err := st.plan(table)
	if err != nil {
		return err
	}
	t := tuple{batch: b, at: columnsOf(table)}
	for i := range b.Len() {
		t.cells = table.Tuple(b.Rows[i*b.Stride()])
		id := st.desk.dictionary.met[t.text("id")]
		if id == 0 {
			st.counts.OutOfScope++ // a CVE that no machine has shown
			continue
		}
		document, err := plan.Map(b, t.cells)
		if err != nil {
			st.described[id] = true // not unknown at the source: it is asked for again
			if err := st.reject(ctx, "", err.Error()); err != nil {
				return err
			}
			continue
		}
		st.described[id] = true
		st.payload = document.AppendJSON(order(st.payload[:0], timeNumber(t.time("updatedOn"))))
		st.writer.add(uint64(id), 0, st.payload)
	}
	return nil
}

// addUndescribed stages an empty description for every CVE that was asked for and that
// a whole reading did not bring, so that it is not asked for again.
func (st *stager) addUndescribed(gaps []string) {
	for _, cve := range gaps {
		if id := st.desk.dictionary.met[cve]; id != 0 && !st.described[id] {
			st.writer.add(uint64(id), 0, order(nil, timeNumber(time.Time{})))
		}
	}
}

var errLayout = fmt.Errorf("batch has another layout than its dataset: %w", muster.ErrInvalid)

// takeRows stages datasets with many rows a machine: tables machine, identity, facts
// and, where there are paths, evidence; numbers first seen and last seen.
func (st *stager) takeRows(ctx context.Context, b *wire.Batch) error {
	machines, identity, facts, evidence, err := tablesOf(b)
	if err != nil {
		return err
	}
	places := make([]int64, machines.Len()) // 0 = out of scope
	for i := range places {
		switch id, ok := st.place(b.Texts[machines.Tuple(int64(i))[0]]); {
		case ok:
			places[i] = id
		case id != 0 && !st.present[id]:
			st.present[id] = true
			st.writer.add(uint64(id), presentItem, nil)
		}
	}
	items, err := st.identities(ctx, b, identity)
	if err != nil {
		return err
	}
	factIDs, reasons, err := st.facts(ctx, b, facts)
	if err != nil {
		return err
	}
	hashes, err := st.evidence(ctx, b, evidence)
	if err != nil {
		return err
	}
	stride := b.Stride()
	for at := 0; at < len(b.Rows); at += stride {
		cells := b.Rows[at : at+stride]
		machine := places[cells[0]]
		if machine == 0 {
			st.counts.OutOfScope++
			continue
		}
		if reason, bad := reasons[cells[2]]; bad {
			if err := st.reject(ctx, b.Texts[machines.Tuple(cells[0])[0]], reason); err != nil {
				return err
			}
			continue
		}
		r := row{item: items[cells[1]], facts: factIDs[cells[2]], number: store.Null, seen: store.Null}
		if evidence != nil {
			r.evidence = hashes[cells[3]]
		}
		numbers := cells[len(b.Tables):]
		for i, name := range b.Numbers {
			switch name {
			case "firstSeenTimestamp", "softwareFirstSeenTimestamp":
				r.number = numbers[i]
			case "lastSeenTimestamp", "timestamp", "softwareLastSeenTimestamp":
				r.seen = numbers[i]
			}
		}
		st.payload = r.append(st.payload[:0])
		st.writer.add(uint64(machine), uint64(r.item), st.payload)
	}
	return nil
}

func tablesOf(b *wire.Batch) (machines, identity, facts, evidence *wire.Table, err error) {
	if len(b.Tables) < 3 || b.Tables[0].Name != "machine" || b.Tables[2].Name != "facts" {
		return nil, nil, nil, nil, errLayout
	}
	if len(b.Tables) > 3 {
		evidence = &b.Tables[3]
	}
	return &b.Tables[0], &b.Tables[1], &b.Tables[2], evidence, nil
}

// identities gives the item id of every identity tuple.
func (st *stager) identities(ctx context.Context, b *wire.Batch, table *wire.Table) ([]int64, error) {
	d := st.desk.dictionary
	t := tuple{batch: b, at: columnsOf(table)}
	n := table.Len()
	if st.dataset == muster.Configuration {
		ids := make([]string, n)
		for i := range ids {
			t.cells = table.Tuple(int64(i))
			ids[i] = t.text("configurationId")
		}
		return d.configurationIDs(ctx, ids)
	}
	keys, cves := make([]store.SoftwareKey, n), make([]string, n)
	for i := range keys {
		t.cells = table.Tuple(int64(i))
		keys[i] = store.SoftwareKey{Vendor: t.text("softwareVendor"), Name: t.text("softwareName"), Version: t.text("softwareVersion")}
		cves[i] = t.text("cveId")
	}
	software, err := d.softwareIDs(ctx, keys)
	if err != nil || st.dataset == muster.Software {
		return software, err
	}
	return st.exposures(ctx, software, cves)
}

func (st *stager) exposures(ctx context.Context, software []int64, cves []string) ([]int64, error) {
	d := st.desk.dictionary
	var named []string
	for _, c := range cves {
		if c != "" {
			named = append(named, c)
		}
	}
	ids, err := d.cveIDs(ctx, named)
	if err != nil {
		return nil, err
	}
	exposures := make([]store.ExposureKey, len(software))
	next := 0
	for i := range exposures {
		exposures[i].Software = software[i]
		if cves[i] != "" {
			exposures[i].CVE = ids[next]
			next++
		}
	}
	return d.exposureIDs(ctx, exposures)
}

// facts gives the id of every facts tuple, and the reason for those that cannot be mapped.
func (st *stager) facts(ctx context.Context, b *wire.Batch, table *wire.Table) ([]int64, map[int64]string, error) {
	plan, err := st.plan(table)
	if err != nil {
		return nil, nil, err
	}
	bad := map[int64]string{}
	ids, err := st.desk.dictionary.factsIDs(ctx, table.Len(), func(i int) []byte {
		document, err := plan.Map(b, table.Tuple(int64(i)))
		if err != nil {
			bad[int64(i)] = err.Error()
			return []byte("{}")
		}
		st.payload = document.AppendJSON(st.payload[:0])
		return st.payload
	})
	return ids, bad, err
}

func (st *stager) evidence(ctx context.Context, b *wire.Batch, table *wire.Table) ([][16]byte, error) {
	if table == nil {
		return nil, nil
	}
	t := tuple{batch: b, at: columnsOf(table)}
	var disk, registry []string
	return st.desk.dictionary.saveEvidence(ctx, table.Len(), func(i int) (_, _ []string) {
		t.cells = table.Tuple(int64(i))
		disk, registry = t.appendList(disk[:0], "diskPaths"), t.appendList(registry[:0], "registryPaths")
		return disk, registry
	})
}
