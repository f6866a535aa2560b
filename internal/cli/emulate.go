package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"muster"
	"muster/internal/defender/emulator"
)

type emulateCommand struct {
	Listen  string   `default:"127.0.0.1:9443" help:"Address to listen on."`
	Devices int      `default:"1000" help:"Number of machines on day 0."`
	Seed    uint64   `default:"1" help:"Another seed, another world."`
	Day     int      `default:"0" help:"How many days the world has aged."`
	Roles   []string `help:"The app's permissions, instead of Machine.Read.All, Vulnerability.Read.All and Software.Read.All."`
	Dir     string   `default:"muster-emulator" placeholder:"DIR" help:"Folder for the CA certificate and the client secret."`
	Faults  string   `placeholder:"FILE" help:"Not in this version."`
}

// Run serves until it is interrupted.
func (c *emulateCommand) Run(ctx context.Context, a *App) error {
	switch {
	case c.Faults != "":
		return muster.Invalid("faults", "faults are not in this version", "Leave --faults out.")
	case c.Devices < 1 || c.Devices > 1_000_000:
		return muster.Invalid("devices", fmt.Sprintf("%d machines are outside 1 to 1,000,000", c.Devices), "Try --devices 1000.")
	case c.Day < 0 || c.Day > 3650:
		return muster.Invalid("day", fmt.Sprintf("day %d is outside 0 to 3650", c.Day), "Try --day 1.")
	}
	ahead := time.Duration(c.Day) * 24 * time.Hour
	server, err := startEmulator(emulator.ServerOptions{
		World: newWorld(a.Now(), c.Devices, c.Seed), Listen: c.Listen, Roles: c.Roles,
		Now: func() time.Time { return a.Now().Add(ahead) },
	})
	if err != nil {
		return err
	}
	files, err := saveAccess(c.Dir, server)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	if err := c.describe(a, server, files); err != nil {
		return errors.Join(err, server.Close())
	}
	<-ctx.Done()
	return server.Close()
}

func newWorld(now time.Time, devices int, seed uint64) *emulator.World {
	return emulator.NewWorld(emulator.Options{Devices: devices, Seed: seed, Epoch: now.UTC().Truncate(24 * time.Hour)})
}

func startEmulator(o emulator.ServerOptions) (*emulator.Server, error) {
	server, err := emulator.Start(o)
	if cause, ok := errors.AsType[*net.OpError](err); ok {
		err = muster.Invalid("listen", fmt.Sprintf("%s cannot be listened on: %v", o.Listen, cause.Err), "Choose another with --listen 127.0.0.1:PORT.")
	}
	return server, err
}

// access is where a user finds what a connector needs.
type access struct{ ca, secret string }

// saveAccess writes the CA and the secret into a folder for their owner alone.
func saveAccess(dir string, s *emulator.Server) (access, error) {
	files := access{ca: filepath.Join(dir, "ca.pem"), secret: filepath.Join(dir, "client-secret")}
	err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(files.ca, s.CAPEM(), 0o600), os.WriteFile(files.secret, []byte(s.Secret()+"\n"), 0o600))
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		return files, muster.Invalid("dir", fmt.Sprintf("the folder %s cannot be written: %v", dir, cause.Err), "Choose another with --dir.")
	}
	return files, err
}

func (c *emulateCommand) describe(a *App, s *emulator.Server, files access) error {
	t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"login URL", s.LoginURL()},
		{"API URL", s.APIURL()},
		{"CA file", files.ca},
		{"tenant", s.TenantID()},
		{"client id", s.ClientID()},
		{"secret", "in the file " + files.secret},
		{"world", fmt.Sprintf("%d machines, seed %d, day %d", c.Devices, c.Seed, c.Day)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	offset := ""
	if c.Day > 0 {
		offset = fmt.Sprintf("MUSTER_CLOCK_OFFSET=%dh ", c.Day*24)
		fmt.Fprintf(a.Stdout, "\nThe world's clock is %d days ahead; %smoves Muster's along.\n", c.Day, offset)
	}
	_, err := fmt.Fprintf(a.Stdout, "\nGather it from another terminal:\n\n  %s%s sync --db sqlite:muster.db --login-url %s --api-url %s \\\n    --ca-file %s --tenant-id %s \\\n    --client-id %s --client-secret-file %s\n\nCtrl-C ends it.\n",
		offset, a.program(), s.LoginURL(), s.APIURL(), files.ca, s.TenantID(), s.ClientID(), files.secret)
	return err
}
