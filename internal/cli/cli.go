package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"

	"muster"
	"muster/internal/gather"
	"muster/internal/verify"
)

// Version is stamped by the build.
var Version = "dev"

// Exit codes (SPEC §10).
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitWarnings = 3
)

// App is one call of the program.
type App struct {
	Program        string // how the program was called, for commands that are printed; "" = muster
	Args           []string
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time

	log *slog.Logger
}

// commands is the whole command line; each has a file of its own.
type commands struct {
	Verbose bool `short:"v" help:"Log what is done, on standard error."`

	Sync       syncCommand       `cmd:"" help:"Gather a tenant into a database, once."`
	Check      checkCommand      `cmd:"" help:"Test the connection to a tenant, step by step."`
	Verify     verifyCommand     `cmd:"" help:"Recompute everything in a database that is derived, and compare."`
	Export     exportCommand     `cmd:"" help:"Write what the database holds as NDJSON, CSV or Parquet."`
	Device     deviceCommand     `cmd:"" help:"Show why machines are one device; split and join devices."`
	Mappings   mappingsCommand   `cmd:"" help:"Show which source attribute feeds which target attribute."`
	Emulate    emulateCommand    `cmd:"" help:"Run a Defender API with made-up machines, to try Muster on."`
	Demo       demoCommand       `cmd:"" help:"See Muster at work: emulate, gather, let a day pass, gather again."`
	Completion completionCommand `cmd:"" help:"Print the completion script of a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

func (a *App) program() string { return cmp.Or(a.Program, "muster") }

// ended carries an exit code whose reason has been told already.
type ended int

func (e ended) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run runs the command that Args name and returns the exit code.
func (a *App) Run(ctx context.Context) (code int) {
	defer func() {
		if e, ok := recover().(ended); ok { // kong's help ends the program by itself
			code = int(e)
		}
	}()
	return a.report(a.run(ctx))
}

func (a *App) run(ctx context.Context) error {
	var err error
	if a.Now, err = clock(a.Now, a.Getenv); err != nil {
		return err
	}
	var c commands
	parser, err := kong.New(&c, kong.Name("muster"), kong.Description("Gather what Microsoft Defender for Endpoint knows into a database of your own."),
		kong.UsageOnError(), kong.Writers(a.Stdout, a.Stderr), kong.Exit(func(code int) { panic(ended(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(a), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return err
	}
	call, err := parser.Parse(a.Args)
	if err != nil {
		return usage(err)
	}
	level := slog.LevelError + 1
	if c.Verbose {
		level = slog.LevelDebug
	}
	a.log = slog.New(tint.NewTextHandler(a.Stderr, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !a.colour(a.Stderr)}))
	return call.Run()
}

// badFlag begins what kong says of a flag whose value is wrong.
var badFlag = regexp.MustCompile(`^--([a-z-]+)[: ]`)

// usage says what is wrong with a command line.
func usage(err error) error {
	code := "usage"
	if m := badFlag.FindStringSubmatch(err.Error()); m != nil {
		code = "invalid_" + strings.ReplaceAll(m[1], "-", "_")
	}
	return &muster.Error{Meaning: muster.ErrInvalid, Code: code, Message: err.Error(), Advice: "See muster --help, or muster COMMAND --help."}
}

// report tells an error and gives its exit code.
func (a *App) report(err error) int {
	var told ended
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &told):
		return int(told)
	case errors.Is(err, context.Canceled):
		err = &muster.Error{Code: "cancelled", Message: "it was interrupted", Advice: "Run it again when it suits.", Err: err}
	}
	e := muster.AsError(err)
	if writeErr := a.reportJSON(e); writeErr != nil {
		e = muster.AsError(errors.Join(err, writeErr))
	}
	text := e.Message
	if e.Code == "internal" && e.Err != nil {
		text = e.Error()
	}
	a.tell(e.Code, text, e.Advice)
	if errors.Is(e, muster.ErrInvalid) {
		return exitUsage
	}
	return exitFailed
}

// reportJSON prints the object that was asked for, where a command could not begin. The
// command line need not have been understood.
func (a *App) reportJSON(e *muster.Error) error {
	if !slices.Contains(a.Args, "--json") {
		return nil
	}
	command := slices.IndexFunc(a.Args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	switch {
	case command >= 0 && a.Args[command] == "sync":
		return writeFailure(a.Stdout, e)
	case command >= 0 && a.Args[command] == "check":
		notice := e.Notice()
		return writeObject(a.Stdout, checkJSON{Steps: []gather.Step{}, Error: &notice})
	case command >= 0 && a.Args[command] == "verify":
		notice := e.Notice()
		return writeObject(a.Stdout, verifyJSON{Report: verify.Report{Problems: []verify.Problem{}}, Error: &notice})
	}
	return nil
}

// tell writes one line for a person: what is wrong, its code, what to do.
func (a *App) tell(code, message, advice string) {
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	fmt.Fprintf(a.Stderr, "%s %s [%s]. %s\n", painter(a.colour(a.Stderr)).do(red, "error:"), message, code, advice)
}

func (a *App) colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && Colour(f)
}

// clock is Muster's own; MUSTER_CLOCK_OFFSET moves it, for work against an emulator
// whose day is ahead.
func clock(now func() time.Time, getenv func(string) string) (func() time.Time, error) {
	text := getenv("MUSTER_CLOCK_OFFSET")
	if text == "" {
		return now, nil
	}
	offset, err := time.ParseDuration(text)
	if err != nil {
		return now, muster.Invalid("clock_offset", fmt.Sprintf("MUSTER_CLOCK_OFFSET is %q, which is no duration", text), "Write it like 24h or -30m, or unset it.")
	}
	return func() time.Time { return now().Add(offset) }, nil
}

type versionCommand struct{}

func (versionCommand) Run(a *App) error {
	_, err := fmt.Fprintln(a.Stdout, "muster", Version)
	return err
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c completionCommand) Run(a *App, k *kong.Context) error {
	script, err := Completion(k.Model, c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.Stdout, script)
	return err
}
