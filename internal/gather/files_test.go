package gather

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/defender/emulator"
	"muster/internal/wire"
)

// recorder is a Sink that keeps what a test asks about, and fails where it is told to.
type recorder struct {
	Sink // nil: no other call is expected

	mu        sync.Mutex
	staging   bool
	sequences []int64
	rows      int
	parts     []string
	failAt    int64
}

func (*recorder) Begin(context.Context, wire.Lease, muster.Dataset, time.Time) error { return nil }

var errFull = errors.New("no room")

func (s *recorder) Stage(_ context.Context, _ wire.Lease, b *wire.Batch) error {
	s.mu.Lock()
	if s.staging {
		s.mu.Unlock()
		return errors.New("two batches at once")
	}
	s.staging = true
	s.mu.Unlock()
	defer func() { s.staging = false }()
	if b.Sequence == s.failAt {
		return errFull
	}
	s.sequences = append(s.sequences, b.Sequence)
	s.rows += b.Len()
	s.parts = append(s.parts, b.Parts...)
	return nil
}

// tenant is an emulated one with an export of many files, and a run that reads it.
func tenant(t *testing.T) (*Run, *recorder, *emulator.Server, *emulator.Day) {
	t.Helper()
	epoch := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	world := emulator.NewWorld(emulator.Options{Devices: 60, Seed: 7, Epoch: epoch})
	now := func() time.Time { return epoch.Add(12 * time.Hour) }
	server, err := emulator.Start(emulator.ServerOptions{World: world, Now: now, RateLimits: -1, PartMachines: 3})
	if err != nil {
		t.Fatal(err)
	}
	client, err := defender.New(defender.Config{
		TenantID: server.TenantID(), ClientID: server.ClientID(), Secret: defender.Secret(server.Secret()), LoginURL: server.LoginURL(),
		APIURL: server.APIURL(), CAs: server.CAPEM(), Now: now, UserAgent: "MdatpPartner-Muster-Muster/0.0.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	sink := &recorder{}
	return &Run{
		Client: client, Sink: sink, Progress: func(muster.Dataset, int64) {}, Log: slog.New(slog.DiscardHandler),
		sequence: map[muster.Dataset]int64{}, read: map[muster.Dataset]int64{},
	}, sink, server, world.Day(0)
}

// TestFilesAreReadSideBySide: batches come one at a time, in order, with every row and
// every part; a resumed run reads the other files only.
func TestFilesAreReadSideBySide(t *testing.T) {
	r, sink, _, day := tenant(t)
	end, err := r.vulnerabilities(t.Context())
	if err != nil || end.State != muster.Complete {
		t.Fatalf("%+v, %v", end, err)
	}
	want := 0
	for _, g := range day.Groups() {
		for range day.Vulnerabilities(g.ID) {
			want++
		}
	}
	if sink.rows != want || r.read[muster.Vulnerabilities] != int64(want) {
		t.Errorf("%d rows staged, %d told; the world has %d", sink.rows, r.read[muster.Vulnerabilities], want)
	}
	for i, sequence := range sink.sequences {
		if sequence != int64(i)+1 {
			t.Fatalf("batches came as %v", sink.sequences)
		}
	}
	all := sink.parts
	if slices.Sort(all); len(all) < 10 || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("parts: %q", all)
	}

	half := len(all) / 2
	r.Job.Staged = map[muster.Dataset]wire.Stage{muster.Vulnerabilities: {Snapshot: end.SourceTime, Parts: all[:half]}}
	sink.parts = nil
	if _, err := r.vulnerabilities(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(sink.parts); !slices.Equal(sink.parts, all[half:]) {
		t.Errorf("a resumed run read %q, want %q", sink.parts, all[half:])
	}
}

// TestSinkEndsAllReaders: an error of our own side is the run's, not a file's.
func TestSinkEndsAllReaders(t *testing.T) {
	r, sink, _, _ := tenant(t)
	sink.failAt = 3
	if _, err := r.vulnerabilities(t.Context()); !errors.Is(err, errFull) {
		t.Fatalf("error %v", err)
	}
}

// TestExpiredLinksAreRenewedOnce: both readers meet links whose time is over; the export
// is asked for again once.
func TestExpiredLinksAreRenewedOnce(t *testing.T) {
	r, sink, server, _ := tenant(t)
	export, err := r.Client.Export(t.Context(), defender.VulnerabilityExport)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range export.Files {
		signed, _, _ := strings.Cut(string(f.URL), "?")
		export.Files[i].URL = defender.Link(signed + "?sig=of+another+day")
	}
	files := sourceOf(defender.VulnerabilityExport, vulnerabilityLayout, r.Client.VulnerabilityFile)
	failures, err := r.files(t.Context(), unfinished([]*listing{{source: files, export: export}}, nil))
	if err != nil || len(failures) > 0 {
		t.Fatalf("%v, %v", failures, err)
	}
	if len(sink.parts) != len(export.Files) {
		t.Errorf("%d of %d files arrived", len(sink.parts), len(export.Files))
	}
	asked := 0
	for _, call := range server.Calls() {
		if strings.HasSuffix(call.Path, string(defender.VulnerabilityExport)) {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("the export was asked for %d times, want twice", asked)
	}
}
