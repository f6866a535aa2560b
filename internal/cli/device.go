package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster"
	"muster/internal/ingest"
	"muster/internal/store"
)

// deviceCommand looks at reconciliation and overrules it.
type deviceCommand struct {
	Show  deviceShow  `cmd:"" help:"Show a device's machines and why they are one device."`
	Split deviceSplit `cmd:"" help:"Take machines out of a device; no gathering joins them again."`
	Join  deviceJoin  `cmd:"" help:"Make two devices one; no gathering parts them again."`
}

type deviceShow struct {
	Device string `arg:"" help:"The device's id, as in the devices export."`
	DB     string `required:"" placeholder:"URL" help:"The database: sqlite:PATH or postgres://…"`
}

type deviceSplit struct {
	Device  string   `arg:"" help:"The device's id, as in the devices export."`
	Machine []string `arg:"" help:"The ids of the machines that leave it."`
	DB      string   `required:"" placeholder:"URL" help:"The database: sqlite:PATH or postgres://…"`
}

type deviceJoin struct {
	Device string `arg:"" help:"A device's id, as in the devices export."`
	Other  string `arg:"" help:"The other device's id."`
	DB     string `required:"" placeholder:"URL" help:"The database: sqlite:PATH or postgres://…"`
}

// Run shows one device.
func (c *deviceShow) Run(ctx context.Context, a *App) error {
	return a.withDevices(ctx, c.DB, func(*ingest.Operator) (string, error) { return c.Device, nil })
}

// Run splits a device and shows the new one.
func (c *deviceSplit) Run(ctx context.Context, a *App) error {
	return a.withDevices(ctx, c.DB, func(o *ingest.Operator) (string, error) {
		return o.Split(ctx, c.Device, c.Machine)
	})
}

// Run joins two devices and shows the one that came of it.
func (c *deviceJoin) Run(ctx context.Context, a *App) error {
	return a.withDevices(ctx, c.DB, func(o *ingest.Operator) (string, error) { return o.Join(ctx, c.Device, c.Other) })
}

// withDevices does something to devices and shows the one that it names.
func (a *App) withDevices(ctx context.Context, url string, do func(*ingest.Operator) (string, error)) error {
	db, err := openDatabase(ctx, url, false)
	if err != nil {
		return err
	}
	by := cmp.Or(a.Getenv("USER"), a.Getenv("USERNAME"), "command line")
	id, err := do(ingest.NewOperator(db, a.Now, by))
	if err == nil {
		err = a.showDevice(ctx, db, id)
	}
	return errors.Join(err, db.Close())
}

// joinedBy says why in words.
var joinedBy = map[muster.JoinReason]string{
	muster.JoinedByMerge: "merged by Defender into", muster.JoinedByOperator: "an operator joined it with", muster.JoinedByEntraID: "Entra device id %s, as",
	muster.JoinedByVMID: "cloud VM id %s, as", muster.JoinedByMACAndHost: "MAC address and host name %s, as", muster.JoinedByFQDN: "name %s, as",
}

func (a *App) showDevice(ctx context.Context, db store.Devices, id string) error {
	now, err := db.Device(ctx, id)
	if errors.Is(err, muster.ErrNotFound) {
		return muster.Invalid("device", "there is no device "+id, "Take an id from the devices export.")
	}
	if err != nil {
		return err
	}
	machines, err := db.DeviceMachines(ctx, now)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for _, m := range machines {
		names[m.Machine] = m.MachineID
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Device %s\n", now)
	if now != id {
		fmt.Fprintf(&b, "  %s is part of it\n", id)
	}
	for _, m := range machines {
		fmt.Fprintf(&b, "\n  Machine %s\n    seen %s to %s\n", m.MachineID, dayOf(m.FirstSeen), dayOf(m.LastSeen))
		if m.Superseded {
			b.WriteString("    superseded by a newer one: kept, not counted\n")
		}
		for _, l := range m.Links {
			why := joinedBy[l.Reason]
			if strings.Contains(why, "%s") {
				why = fmt.Sprintf(why, l.Value)
			}
			fmt.Fprintf(&b, "    %s %s (%s)\n", why, cmp.Or(names[l.Partner], "a machine that was deleted"), dayOf(l.Since))
		}
	}
	_, err = a.Stdout.Write([]byte(b.String()))
	return err
}

func dayOf(t time.Time) string {
	if t.IsZero() {
		return "an unknown day"
	}
	return t.UTC().Format(time.DateOnly)
}
