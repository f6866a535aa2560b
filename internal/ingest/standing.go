package ingest

import (
	"context"

	"muster/internal/store"
)

// standings collects the open rows of one machine and kind, as they were and as they are,
// for whoever counts. Configuration results are not counted.
type standings struct {
	before, after []store.Standing // of all machines of the step
	from          [2]int           // where this machine's begin
	moved         bool             // a row came, went, or has other facts
}

func (s *standings) begin() {
	s.from, s.moved = [2]int{len(s.before), len(s.after)}, false
}

// stood is a row that was open before, with its facts then; stands is one that is now.
func (s *standings) stood(item, facts int64) {
	s.before = append(s.before, store.Standing{Item: item, Facts: facts})
}

func (s *standings) stands(item, facts int64, back bool) {
	s.after = append(s.after, store.Standing{Item: item, Facts: facts, Back: back})
}

func (s *standings) clear() {
	s.before, s.after = s.before[:0], s.after[:0]
}

// count puts the machine's rows into the step if they have moved.
func (w *itemMerge) count(ctx context.Context, machine int64, kind store.ItemKind) error {
	s := &w.standings
	before, after := s.before[s.from[0]:len(s.before):len(s.before)], s.after[s.from[1]:len(s.after):len(s.after)]
	if !s.moved || kind == store.Configurations {
		s.before, s.after = s.before[:s.from[0]], s.after[:s.from[1]]
		return nil
	}
	for _, rows := range [][]store.Standing{before, after} {
		for i := range rows {
			if rows[i].Software = rows[i].Item; kind != store.Findings {
				continue
			}
			k, err := w.exposures.key(ctx, rows[i].Item)
			if err != nil {
				return err
			}
			rows[i].Software, rows[i].CVE = k.Software, k.CVE
		}
	}
	w.step.Differences = append(w.step.Differences, store.Difference{Machine: machine, Kind: kind, Before: before, After: after})
	return nil
}
