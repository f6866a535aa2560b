package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"muster"
	"muster/internal/control"
	"muster/internal/ingest"
	"muster/internal/store/relational"
	"muster/internal/worker"
)

type reserveFunc = func(ctx context.Context, endpoint string) error

type syncCommand struct {
	DB string `required:"" placeholder:"URL" help:"Where to: sqlite:PATH (made when absent) or postgres://USER@HOST/DATABASE."`
	sourceFlags
	Full      bool   `help:"Read everything, also what has not changed at the source."`
	Connector string `default:"default" placeholder:"NAME" help:"The connector that this gathering belongs to; made when absent."`
	JSON      bool   `help:"Print the result as one JSON object."`
}

// Run gathers once and says how it ended.
func (c *syncCommand) Run(ctx context.Context, a *App) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	if err := muster.ValidName(c.Connector); err != nil {
		return err
	}
	cred, err := c.credential(a.Getenv)
	if err != nil {
		return err
	}
	if settings.Filter.StaleDays == 1 {
		fmt.Fprintln(a.Stderr, "note: machines report about every 24 hours, so a threshold of 1 day leaves healthy ones out now and then.")
	}
	// Refuse what the client cannot be made of before anything is written.
	probe, err := a.client(settings, cred, nil)
	if err != nil {
		return err
	}
	probe.Close()
	db, err := openDatabase(ctx, c.DB, true)
	if err != nil {
		return err
	}
	run, err := a.gather(ctx, db, gathering{connector: c.Connector, settings: settings, credential: cred, full: c.Full})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if c.JSON {
		err = writeRun(a.Stdout, run)
	} else {
		err = WriteSummary(a.Stdout, run, a.colour(a.Stdout))
	}
	if err != nil {
		return err
	}
	return a.exit(run)
}

// exit tells a run's error and gives its exit code.
func (a *App) exit(run muster.Run) error {
	if e := run.Error; e != nil {
		a.tell(e.Code, e.Message, e.Advice)
	}
	switch run.State {
	case muster.Succeeded:
		return nil
	case muster.SucceededWithWarnings:
		return ended(exitWarnings)
	default:
		return ended(exitFailed)
	}
}

// gathering is one sync, whoever asks for it.
type gathering struct {
	connector  string
	settings   muster.Settings
	credential credential
	full       bool
}

// gather does one gathering from its queueing to the end of its merge.
func (a *App) gather(ctx context.Context, db *relational.Store, g gathering) (run muster.Run, err error) {
	sink := ingest.New(db, a.Now, a.log)
	desk := control.New(db, sink, a.Now, a.log)
	id, err := desk.Start(ctx, g.connector, "sync", g.settings, g.full)
	if err != nil {
		return run, err
	}
	progress := a.progress()
	defer progress.Stop()
	w := worker.Worker{
		Board: desk.Board(id), Sink: sink, Source: a.source(g.credential), Log: a.log,
		Progress: func(d muster.Dataset, rows int64) { progress.Update(string(d), rows) },
	}
	err = w.Once(ctx)
	if errors.Is(err, context.Canceled) { // nobody has claimed the run
		err = db.AskCancel(context.WithoutCancel(ctx), id, a.Now())
	}
	if err != nil {
		return run, taken(err, g.connector)
	}
	head, err := db.Run(context.WithoutCancel(ctx), id)
	if err == nil && head.State == muster.Merging {
		err = desk.Merge(ctx, id)
	}
	if err != nil {
		return run, taken(err, g.connector)
	}
	return db.Report(context.WithoutCancel(ctx), id)
}

// taken explains the loss of a lease to another process.
func taken(err error, connector string) error {
	if errors.Is(err, muster.ErrConflict) || errors.Is(err, worker.ErrNoWork) {
		return &muster.Error{
			Meaning: muster.ErrConflict, Code: "connector_busy", Message: "another process took over the gathering of connector " + connector,
			Advice: "Wait until it has ended.", Err: err,
		}
	}
	return err
}

func (a *App) progress() *Progress {
	if f, ok := a.Stderr.(*os.File); ok {
		return NewProgress(f)
	}
	return &Progress{out: a.Stderr}
}
