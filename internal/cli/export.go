package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"muster/internal/export"
)

type exportCommand struct {
	What           string   `arg:"" enum:"devices,machines,software,findings,configuration,vulnerabilities,history,totals,runs,audit" help:"devices, machines, software, findings, configuration, vulnerabilities, history, totals, runs or audit."`
	DB             string   `required:"" placeholder:"URL" help:"The database: sqlite:PATH."`
	Format         string   `enum:"ndjson,csv,parquet" default:"ndjson" help:"ndjson or csv; Parquet is not in this version."`
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
