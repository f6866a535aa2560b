package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"muster"
	"muster/internal/verify"
)

type verifyCommand struct {
	DB   string `required:"" placeholder:"URL" help:"The database: sqlite:PATH or postgres://USER@HOST/DATABASE."`
	JSON bool   `help:"Print the result as one JSON object."`
}

// verifyJSON is the one object that --json prints.
type verifyJSON struct {
	verify.Report
	Error *muster.Notice `json:"error"`
}

// Run verifies a database and changes nothing.
func (c *verifyCommand) Run(ctx context.Context, a *App) error {
	db, err := openDatabase(ctx, c.DB, false)
	if err != nil {
		return err
	}
	report, err := verify.Run(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if c.JSON {
		err = writeObject(a.Stdout, verifyJSON{Report: report})
	} else {
		err = writeVerified(a.Stdout, report)
	}
	if err == nil && !report.OK {
		err = ended(exitFailed)
	}
	return err
}

// writeVerified writes one line for every kind of problem, or that there is none.
func writeVerified(w io.Writer, r verify.Report) error {
	for _, p := range r.Problems {
		if _, err := fmt.Fprintf(w, "%s %s: %s; e.g. %s\n", number(p.Count), p.Kind, p.Meaning, strings.Join(p.Examples, " | ")); err != nil {
			return err
		}
	}
	verdict := "all agree"
	if !r.OK {
		verdict = "see above for what does not agree"
	}
	c := r.Checked
	_, err := fmt.Fprintf(w, "%s machines, %s rows, %s digests, %s facts, %s evidences and %s staged segments verified: %s\n",
		number(c.Machines), number(c.Rows), number(c.Digests), number(c.Facts), number(c.Evidence), number(c.Segments), verdict)
	return err
}
