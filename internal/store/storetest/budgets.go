package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"muster"
	"muster/internal/store"
)

// exports are the documented limits of the export endpoints.
var exports = []store.Window{{Span: time.Minute, Calls: 5}, {Span: time.Hour, Calls: 20}}

var budgetKey = store.BudgetKey{Tenant: "t", Client: "c", Endpoint: "exports"}

// reserve books n calls at start+at and expects to wait.
func (c *testCase) reserve(key store.BudgetKey, n int, windows []store.Window, at, want time.Duration) {
	c.Helper()
	wait, err := c.Reserve(c.Context(), key, n, windows, after(at))
	c.ok(err)
	c.equal("wait", wait, want)
}

var budgetTests = []test{
	{"the sixth call of a minute waits", func(c *testCase) {
		for n := range 5 {
			c.reserve(budgetKey, 1, exports, time.Duration(n)*time.Second, 0)
		}
		c.reserve(budgetKey, 1, exports, 5*time.Second, 55*time.Second)
		c.reserve(budgetKey, 1, exports, 5*time.Second, 55*time.Second) // waiting books nothing
		c.reserve(budgetKey, 2, exports, 5*time.Second, 56*time.Second)
		c.reserve(budgetKey, 1, exports, time.Minute-time.Microsecond, time.Microsecond)
		c.reserve(budgetKey, 1, exports, time.Minute, 0)
		c.reserve(budgetKey, 1, exports, time.Minute, time.Second)
	}},
	{"the twenty-first call of an hour waits", func(c *testCase) {
		for n := range 4 {
			c.reserve(budgetKey, 5, exports, time.Duration(n)*time.Minute, 0)
		}
		c.reserve(budgetKey, 1, exports, 10*time.Minute, 50*time.Minute)
		c.reserve(budgetKey, 5, exports, time.Hour, 0)
		c.reserve(budgetKey, 1, exports, time.Hour, time.Minute)
	}},
	{"several calls at once or none", func(c *testCase) {
		c.reserve(budgetKey, 3, exports, 0, 0)
		c.reserve(budgetKey, 3, exports, 10*time.Second, 50*time.Second)
		c.reserve(budgetKey, 2, exports, 10*time.Second, 0)
		_, err := c.Reserve(c.Context(), budgetKey, 6, exports, after(time.Hour))
		c.fails(err, muster.ErrInvalid)
	}},
	{"keys do not touch each other", func(c *testCase) {
		day := []store.Window{{Span: 24 * time.Hour, Calls: 1}}
		daily := store.BudgetKey{Tenant: "t", Client: "c", Endpoint: "daily"}
		c.reserve(daily, 1, day, 0, 0)
		c.reserve(budgetKey, 5, exports, 0, 0)
		for _, other := range []store.BudgetKey{{Tenant: "u", Client: "c", Endpoint: "exports"}, {Tenant: "t", Client: "d", Endpoint: "exports"}} {
			c.reserve(other, 5, exports, 0, 0)
		}
		c.reserve(budgetKey, 1, exports, 2*time.Hour, 0)
		c.reserve(daily, 1, day, 2*time.Hour, 22*time.Hour) // the shorter windows of others have not forgotten it
	}},
	{"a clock that was wrong blocks nobody for long", func(c *testCase) {
		c.reserve(budgetKey, 5, exports, 24*365*time.Hour, 0)
		c.reserve(budgetKey, 5, exports, 0, 0)
		c.reserve(budgetKey, 1, exports, 0, time.Minute)
	}},
	{"many at once do not overbook", func(c *testCase) {
		var booked atomic.Int64
		var all sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			all.Go(func() {
				wait, err := c.Reserve(c.Context(), budgetKey, 1, exports, start)
				if errs[i] = err; err == nil && wait == 0 {
					booked.Add(1)
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			c.ok(err)
		}
		c.equal("booked", booked.Load(), int64(5))
	}},
}
