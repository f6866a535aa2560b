package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"muster"
	"muster/internal/export"
)

type exportCommand struct {
	What           string   `arg:"" enum:"devices,machines,software,findings,configuration,vulnerabilities,history,totals,runs,audit" help:"devices, machines, software, findings, configuration, vulnerabilities, history, totals, runs or audit."`
	DB             string   `required:"" placeholder:"URL" help:"The database: sqlite:PATH or postgres://USER@HOST/DATABASE."`
	Format         string   `enum:"ndjson,csv,parquet" default:"ndjson" help:"ndjson, csv or parquet."`
	Connector      []string `sep:"none" placeholder:"NAME" help:"Only what this connector has in its scope. May be repeated."`
	Tenant         []string `sep:"none" placeholder:"ID" help:"Only this tenant. May be repeated."`
	State          string   `enum:"open,fixed,all" default:"open" help:"Of findings and software: open, fixed or all."`
	Scope          string   `enum:"in,out,all" default:"in" help:"Machines in scope, out of it, or all."`
	ForSpreadsheet bool     `help:"Disarm CSV cells that a spreadsheet would take for formulas."`
	Output         string   `short:"o" placeholder:"FILE" help:"Write to a file instead of standard output."`
}

// Run writes one export.
func (c *exportCommand) Run(ctx context.Context, a *App) error {
	options := export.Options{Name: c.What, Format: c.Format, Connectors: c.Connector, Tenants: c.Tenant, State: c.State, Scope: c.Scope, ForSpreadsheet: c.ForSpreadsheet}
	if err := options.Validate(); err != nil {
		return err
	}
	if options.Format == "parquet" && onScreen(a.Stdout, c.Output) {
		return muster.Invalid("output", "Parquet is not for a terminal", "Give a file with -o, or send standard output to a file or a pipe.")
	}
	db, err := openDatabase(ctx, c.DB, false)
	if err != nil {
		return err
	}
	var rows int64
	err = a.output(c.Output, func(w io.Writer) (err error) {
		rows, err = export.Write(ctx, db, w, options)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if c.Output != "" && c.Output != "-" {
		fmt.Fprintf(a.Stderr, "%s rows of %s written to %s\n", number(rows), c.What, c.Output)
	}
	return nil
}

// onScreen tells whether what is written to path, or without one to stdout, is shown to
// somebody.
func onScreen(stdout io.Writer, path string) bool {
	if path == "" || path == "-" {
		f, ok := stdout.(*os.File)
		return ok && Terminal(f)
	}
	if there, err := os.Stat(path); err != nil || there.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false // told when it is to be written
	}
	defer f.Close()
	return Terminal(f)
}
