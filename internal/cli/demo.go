package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/defender/emulator"
	"muster/internal/export"
	"muster/internal/store/relational"
)

type demoCommand struct {
	Once    bool   `help:"End after the second gathering."`
	Devices int    `default:"1000" help:"Number of machines."`
	Seed    uint64 `default:"1" help:"Another seed, another world."`
	Dir     string `placeholder:"DIR" help:"Folder for the database and the emulator's files; default is a new one in the temporary folder."`
}

// stage is a demo under way.
type stage struct {
	*App
	server   *emulator.Server
	files    access
	db       *relational.Store
	dbPath   string
	settings muster.Settings
	cred     credential
	days     atomic.Int64 // how far the world's clock and ours are ahead
}

// Run shows the whole of it: emulate, gather, let a day pass, gather again.
func (c *demoCommand) Run(ctx context.Context, a *App) (err error) {
	if c.Devices < 1 || c.Devices > 1_000_000 {
		return muster.Invalid("devices", fmt.Sprintf("%d machines are outside 1 to 1,000,000", c.Devices), "Try --devices 1000.")
	}
	s, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close(), s.server.Close()) }()
	fmt.Fprintf(a.Stdout, "A Defender API with %s made-up machines is running at %s.\nGathering it into %s.\n\n", number(int64(c.Devices)), s.server.APIURL(), s.dbPath)
	if _, err := s.gatherDay(ctx); err != nil {
		return err
	}
	s.days.Add(1)
	fmt.Fprintf(a.Stdout, "\nA day passes. Gathering again.\n\n")
	run, err := s.gatherDay(ctx)
	if err != nil {
		return err
	}
	if err := s.changes(ctx, run); err != nil {
		return err
	}
	if c.Once {
		fmt.Fprintf(a.Stdout, "\nThe database is %[1]s. See what is in it:\n\n  %[2]s export devices --db sqlite:%[1]s --format csv\n  %[2]s export findings --db sqlite:%[1]s --state fixed\n", s.dbPath, a.program())
		return nil
	}
	fmt.Fprintf(a.Stdout, "\nThe API stays up until Ctrl-C. Try it from another terminal, for example only machines seen within 30 days:\n\n"+
		"  MUSTER_CLOCK_OFFSET=24h %s sync --db sqlite:%s --connector mine --stale-days 30 \\\n    --login-url %s --api-url %s --ca-file %s \\\n    --tenant-id %s --client-id %s \\\n    --client-secret-file %s\n",
		a.program(), s.dbPath, s.server.LoginURL(), s.server.APIURL(), s.files.ca, s.server.TenantID(), s.server.ClientID(), s.files.secret)
	<-ctx.Done()
	return nil
}

func (c *demoCommand) open(ctx context.Context, a *App) (*stage, error) {
	dir := c.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "muster-demo-"); err != nil {
			return nil, err
		}
	}
	start := a.Now
	s := &stage{App: a, dbPath: filepath.Join(dir, "muster.db")}
	a.Now = func() time.Time { return start().Add(time.Duration(s.days.Load()) * 24 * time.Hour) }
	var err error
	if s.server, err = startEmulator(emulator.ServerOptions{World: newWorld(start(), c.Devices, c.Seed), Now: a.Now}); err != nil {
		return nil, err
	}
	if s.files, err = saveAccess(dir, s.server); err == nil {
		s.db, err = openDatabase(ctx, "sqlite:"+s.dbPath, true)
	}
	if err != nil {
		return nil, errors.Join(err, s.server.Close())
	}
	s.settings = muster.Settings{TenantID: s.server.TenantID(), ClientID: s.server.ClientID(), Cloud: "commercial", LoginURL: s.server.LoginURL(), APIURL: s.server.APIURL(), Datasets: muster.DefaultDatasets()}
	s.cred = credential{secret: defender.Secret(s.server.Secret()), cas: s.server.CAPEM()}
	return s, nil
}

// gatherDay gathers the world as it stands and tells how it went.
func (s *stage) gatherDay(ctx context.Context) (muster.Run, error) {
	run, err := s.gather(ctx, s.db, gathering{connector: "demo", settings: s.settings, credential: s.cred})
	if err != nil {
		return run, err
	}
	if err := WriteSummary(s.Stdout, run, s.colour(s.Stdout)); err != nil {
		return run, err
	}
	if run.State != muster.Succeeded && run.State != muster.SucceededWithWarnings {
		return run, s.exit(run)
	}
	return run, nil
}

// shown is how many examples of each kind of change the demo names.
const shown = 3

// changes says what the day has changed, with a few examples.
func (s *stage) changes(ctx context.Context, run muster.Run) error {
	v, m := run.Datasets[muster.Vulnerabilities], run.Datasets[muster.Machines]
	if v == nil || m == nil {
		return nil
	}
	fmt.Fprintf(s.Stdout, "\nWhat changed: %s findings opened, %s fixed, %s came back; %s machines new, %s changed.\n",
		number(v.New), number(v.Closed), number(v.Reopened), number(m.New), number(m.Changed))
	fixed, err := s.exported(ctx, export.Options{Name: "findings", State: "fixed"}, func(row map[string]any) string {
		return fmt.Sprintf("  fixed  %v on %.12v…, in %v %v, open since %v", row["cve"], row["machine_id"], row["name"], row["version"], row["first_seen"])
	})
	if err != nil {
		return err
	}
	changed, err := s.exported(ctx, export.Options{Name: "history"}, func(row map[string]any) string {
		return fmt.Sprintf("  %v of %.12v…: %v → %v", row["attribute"], row["machine_id"], row["old"], row["new"])
	})
	for _, line := range append(fixed, changed...) {
		fmt.Fprintln(s.Stdout, line)
	}
	return err
}

// exported gives the first rows of an export as lines.
func (s *stage) exported(ctx context.Context, o export.Options, line func(map[string]any) string) ([]string, error) {
	var text bytes.Buffer
	if _, err := export.Write(ctx, s.db, &text, o); err != nil {
		return nil, err
	}
	var lines []string
	scan := bufio.NewScanner(&text)
	scan.Buffer(nil, 1<<20)
	for len(lines) < shown && scan.Scan() {
		var row map[string]any
		if err := json.Unmarshal(scan.Bytes(), &row); err != nil {
			return nil, err
		}
		lines = append(lines, line(row))
	}
	return lines, scan.Err()
}
