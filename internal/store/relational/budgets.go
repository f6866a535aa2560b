package relational

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// Reserve implements store.Budgets. A key's calls are few, so they are one list in one
// row, which the first statement locks: two callers cannot both see the last free place.
func (s *Store) Reserve(ctx context.Context, key store.BudgetKey, n int, windows []store.Window, now time.Time) (wait time.Duration, err error) {
	for _, w := range windows {
		if n > w.Calls {
			return 0, fmt.Errorf("%d calls never fit into %d within %s: %w", n, w.Calls, w.Span, muster.ErrInvalid)
		}
	}
	err = s.update(ctx, func(tx *Tx) error {
		var list string
		err := tx.QueryRowContext(ctx, `INSERT INTO rate_budget (tenant, client, endpoint, calls) VALUES ($1, $2, $3, '[]')
			ON CONFLICT (tenant, client, endpoint) DO UPDATE SET calls = rate_budget.calls RETURNING calls`, key.Tenant, key.Client, key.Endpoint).Scan(&list)
		if err != nil {
			return err
		}
		var calls []int64
		if err := json.Unmarshal([]byte(list), &calls); err != nil {
			return err
		}
		calls = remembered(calls, windows, now)
		if wait = waitFor(calls, n, windows, now); wait > 0 {
			return nil
		}
		for range n {
			calls = append(calls, now.UnixMicro())
		}
		slices.Sort(calls)
		text, err := json.Marshal(calls)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE rate_budget SET calls = $4 WHERE tenant = $1 AND client = $2 AND endpoint = $3`, key.Tenant, key.Client, key.Endpoint, string(text))
		return err
	})
	return wait, err
}

// remembered leaves out the calls that no window reaches any more, and those so far in
// the future that a clock must have been wrong when they were booked.
func remembered(calls []int64, windows []store.Window, now time.Time) []int64 {
	var longest time.Duration
	for _, w := range windows {
		longest = max(longest, w.Span)
	}
	return slices.DeleteFunc(calls, func(at int64) bool {
		return at <= now.Add(-longest).UnixMicro() || at > now.Add(longest).UnixMicro()
	})
}

// waitFor is how long it takes until n more calls fit into every window; calls ascend.
func waitFor(calls []int64, n int, windows []store.Window, now time.Time) (wait time.Duration) {
	for _, w := range windows {
		// The call that must have left the window before n more fit in.
		if at := len(calls) - (w.Calls - n) - 1; at >= 0 {
			wait = max(wait, time.UnixMicro(calls[at]).Add(w.Span).Sub(now))
		}
	}
	return max(0, wait)
}
