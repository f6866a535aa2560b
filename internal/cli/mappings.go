package cli

import (
	"context"
	"io"

	"muster/internal/mapping"
)

type mappingsCommand struct {
	Format string `enum:"csv,markdown,json" default:"csv" help:"csv, markdown or json."`
	Output string `short:"o" placeholder:"FILE" help:"Write to a file instead of standard output."`
}

// Run writes the table of attributes.
func (c *mappingsCommand) Run(_ context.Context, a *App) error {
	write := map[string]func(io.Writer) error{"csv": mapping.WriteCSV, "markdown": mapping.WriteMarkdown, "json": mapping.WriteJSON}[c.Format]
	return a.output(c.Output, write)
}
