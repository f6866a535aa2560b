package relational

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"muster/internal/store"
)

// classes knows by which class a finding's facts are counted. What it holds is committed.
type classes struct {
	mu      sync.Mutex
	byFacts map[int64]int64
	byID    map[int64]store.Class
}

// exploitable tells whether an exploit is known.
func exploitable(c store.Class) bool {
	return c.Exploitability != "" && c.Exploitability != store.NoExploit
}

func (c *classes) known(facts int64) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.byFacts[facts]
	return id, ok
}

// keepClasses remembers classes of facts that are committed.
func (s *Store) keepClasses(ctx context.Context, found map[int64]int64) error {
	s.classes.mu.Lock()
	defer s.classes.mu.Unlock()
	if s.classes.byFacts == nil {
		s.classes.byFacts = map[int64]int64{}
	}
	for facts, id := range found {
		if _, named := s.classes.byID[id]; !named {
			names, err := allClasses(ctx, s.read)
			if err != nil {
				return err
			}
			s.classes.byID = names
		}
		s.classes.byFacts[facts] = id
	}
	return nil
}

// classify makes the classes of facts known, so that the steps that count by them need
// not look. Facts that are older than classes get theirs in a transaction of its own.
func (s *Store) classify(ctx context.Context, facts []int64) error {
	var unknown []int64
	for _, id := range facts {
		if _, known := s.classes.known(id); !known {
			unknown = append(unknown, id)
		}
	}
	slices.Sort(unknown)
	if unknown = slices.Compact(unknown); len(unknown) == 0 {
		return nil
	}
	var found map[int64]int64
	var without []int64
	err := s.view(ctx, func(tx *Tx) (err error) {
		found, without, err = classesOf(ctx, tx, unknown)
		return err
	})
	if err == nil && len(without) > 0 {
		err = s.repeat(ctx, func(tx *Tx) (err error) {
			found, err = classify(ctx, tx, unknown)
			return err
		})
	}
	if err != nil {
		return err
	}
	return s.keepClasses(ctx, found)
}

// classesOf reads the classes of facts, and lists those that have none.
func classesOf(ctx context.Context, q *Tx, facts []int64) (found map[int64]int64, without []int64, err error) {
	found = make(map[int64]int64, len(facts))
	err = inIDs(q.engine, facts, func(condition string, args []any) error {
		return each(ctx, q, func(rows *sql.Rows) error {
			var id int64
			var class sql.NullInt64
			err := rows.Scan(&id, &class)
			if class.Valid {
				found[id] = class.Int64
			} else {
				without = append(without, id)
			}
			return err
		}, `SELECT id, class_id FROM facts WHERE id `+condition, args...)
	})
	return found, without, err
}

// classify gives the classes of facts and saves those that had none.
func classify(ctx context.Context, tx *Tx, facts []int64) (map[int64]int64, error) {
	found, without, err := classesOf(ctx, tx, facts)
	if err != nil || len(without) == 0 {
		return found, err
	}
	classes := make([]store.Class, 0, len(without))
	without = without[:0]
	err = inIDs(tx.engine, facts, func(condition string, args []any) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id int64
			var document []byte
			err := rows.Scan(&id, &document)
			without, classes = append(without, id), append(classes, classOf(document))
			return err
		}, `SELECT id, attributes FROM facts WHERE class_id IS NULL AND id `+condition, args...)
	})
	if err != nil {
		return nil, err
	}
	ids, err := classIDs(ctx, tx, classes)
	if err != nil {
		return nil, err
	}
	for i, id := range without {
		found[id] = ids[i]
	}
	return found, tx.update(ctx, Rows{Table: "facts", Columns: []Column{{"id", Integers}, {"class_id", Integers}}, Keys: 1, N: len(without), Values: func(i int, args []any) []any {
		return append(args, without[i], ids[i])
	}})
}

// classIDs adds classes and gives their ids.
func classIDs(ctx context.Context, tx *Tx, classes []store.Class) ([]int64, error) {
	at := map[store.Class]int{}
	var keys [][]any
	for _, c := range classes {
		if _, known := at[c]; !known {
			at[c] = len(keys)
			keys = append(keys, []any{c.Severity, c.Exploitability})
		}
	}
	d := dictionary{table: "finding_class", columns: []Column{{"severity", Texts}, {"exploitability", Texts}}}
	distinct := make([]int64, len(keys))
	missing, err := d.lookUp(ctx, tx.engine, tx, keys, distinct, nil)
	if err == nil && len(missing) > 0 {
		err = d.add(ctx, tx, keys, distinct, missing)
	}
	ids := make([]int64, len(classes))
	for i, c := range classes {
		ids[i] = distinct[at[c]]
	}
	return ids, err
}

// classOf reads the class off a document of facts.
func classOf(document []byte) store.Class {
	texts, err := textsOf(document, [2]string{store.SeverityAttribute, store.ExploitabilityAttribute})
	if err != nil {
		return store.Class{} // no document: nothing is given
	}
	return store.Class{Severity: texts[0], Exploitability: texts[1]}
}

// name names a class that is known.
func (c *classes) name(id int64) (store.Class, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	class, ok := c.byID[id]
	return class, ok
}

// allClasses reads every class.
func allClasses(ctx context.Context, q Queryer) (map[int64]store.Class, error) {
	all := map[int64]store.Class{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id int64
		var c store.Class
		err := rows.Scan(&id, &c.Severity, &c.Exploitability)
		all[id] = c
		return err
	}, `SELECT id, severity, exploitability FROM finding_class`)
	return all, err
}
