package emulator

import (
	"strings"
	"testing"
	"time"
)

func TestRateLimits(t *testing.T) {
	start := time.Date(2026, 11, 4, 9, 0, 0, 0, time.UTC)
	type call struct {
		after time.Duration // since start
		wait  time.Duration // 0 = allowed
	}
	times := func(n int, c call) (calls []call) {
		for range n {
			calls = append(calls, c)
		}
		return calls
	}
	join := func(parts ...[]call) (calls []call) {
		for _, part := range parts {
			calls = append(calls, part...)
		}
		return calls
	}
	for name, c := range map[string]struct {
		factor float64
		quota  quota
		calls  []call
	}{
		"a minute's worth": {1, quota{5, 20}, join(times(5, call{0, 0}), times(2, call{time.Second, 59 * time.Second}), times(5, call{time.Minute, 0}))},
		"waits are whole":  {1, quota{1, 20}, []call{{0, 0}, {500 * time.Millisecond, time.Minute}, {59*time.Second + 900*time.Millisecond, time.Second}, {time.Minute, 0}}},
		"an hour's worth":  {1, quota{5, 6}, join(times(5, call{0, 0}), times(1, call{time.Minute, 0}), times(1, call{2 * time.Minute, 58 * time.Minute}), times(5, call{time.Hour, 0}), times(1, call{time.Hour, time.Minute}))},
		"ten times":        {10, quota{5, 20}, join(times(50, call{0, 0}), times(1, call{0, time.Minute}))},
		"scaled to none":   {0.01, quota{5, 20}, []call{{0, 0}, {0, time.Hour}}},
		"off":              {-1, quota{5, 20}, times(500, call{0, 0})},
	} {
		t.Run(name, func(t *testing.T) {
			l := &rateLimits{factor: c.factor, calls: map[string][]time.Time{}}
			for i, call := range c.calls {
				message, wait := l.take("key", c.quota, start.Add(call.after))
				if wait != call.wait || (message == "") != (wait == 0) {
					t.Fatalf("call %d after %v: wait %v, want %v (%s)", i, call.after, wait, call.wait, message)
				}
			}
			if _, wait := l.take("other", c.quota, start); wait != 0 {
				t.Error("another key is limited too")
			}
		})
	}
}

func TestRateLimitSentence(t *testing.T) {
	l := &rateLimits{factor: 1, calls: map[string][]time.Time{}}
	now := time.Date(2026, 11, 4, 9, 0, 0, 0, time.UTC)
	var message string
	for i := range 31 {
		message, _ = l.take("key", quota{30, 1000}, now.Add(time.Duration(i)*52*time.Second/30))
	}
	if want := "API calls quota exceeded! Maximum allowed 30 per 00:01:00 for the key Destination+TenantID+AppID. You can send requests again in 8 seconds."; !strings.EqualFold(message, want) {
		t.Errorf("%s\nwant %s", message, want)
	}
}
