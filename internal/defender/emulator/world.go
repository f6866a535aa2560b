package emulator

import (
	"sync"
	"time"
)

// Options say which world to make. Equal options make equal worlds.
type Options struct {
	Devices     int       // records of /api/machines on day 0; 0 = 1,000
	Seed        uint64    // any
	Epoch       time.Time // UTC midnight of day 0; zero = 2026-11-01
	TenantID    string    // "" = derived from Seed
	ClientID    string    // "" = derived from Seed
	NullCVERows bool      // also give vulnerability rows for software without a known CVE
}

// World is a tenant that ages by day. It holds a catalogue of products and CVEs, never
// machines or rows: those are computed on the fly from Seed, machine, product and day.
type World struct {
	o         Options
	catalogue *catalogue

	mu      sync.Mutex
	exposed map[int][]int64 // by day: machines per flaw
}

// NewWorld makes the world of o.
func NewWorld(o Options) *World {
	if o.Devices <= 0 {
		o.Devices = 1000
	}
	if o.Epoch.IsZero() {
		o.Epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.TenantID == "" {
		o.TenantID = guid(mix(o.Seed, 1), mix(o.Seed, 2))
	}
	if o.ClientID == "" {
		o.ClientID = guid(mix(o.Seed, 3), mix(o.Seed, 4))
	}
	return &World{o: o, catalogue: newCatalogue(o.Seed), exposed: map[int][]int64{}}
}

// TenantID is the tenant's GUID.
func (w *World) TenantID() string { return w.o.TenantID }

// ClientID is the GUID of the one app registration.
func (w *World) ClientID() string { return w.o.ClientID }

// Epoch is UTC midnight of day 0.
func (w *World) Epoch() time.Time { return w.o.Epoch }
