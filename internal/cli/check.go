package cli

import (
	"context"
	"fmt"
	"strings"

	"muster"
	"muster/internal/gather"
)

type checkCommand struct {
	sourceFlags
	JSON bool `help:"Print the steps as one JSON object."`
}

// checkJSON is what --json prints.
type checkJSON struct {
	Passed bool           `json:"passed"`
	Steps  []gather.Step  `json:"steps"`
	Error  *muster.Notice `json:"error,omitempty"` // why no step was taken
}

// Run tests the connection and says step by step what it found.
func (c *checkCommand) Run(ctx context.Context, a *App) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	cred, err := c.credential(a.Getenv)
	if err != nil {
		return err
	}
	client, err := a.client(settings, cred, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	out := checkJSON{Steps: []gather.Step{}}
	out.Passed = gather.Check(ctx, client, settings, func(s gather.Step) {
		out.Steps = append(out.Steps, s)
		if !c.JSON {
			a.writeStep(s)
		}
	})
	if c.JSON {
		if err := writeObject(a.Stdout, out); err != nil {
			return err
		}
	}
	if !out.Passed {
		return ended(exitFailed)
	}
	return nil
}

func (a *App) writeStep(s gather.Step) {
	colours := map[gather.StepState]paint{gather.Passed: green, gather.FailedStep: red, gather.SkippedStep: yellow}
	state := painter(a.colour(a.Stdout)).do(colours[s.State], fmt.Sprintf("%-7s", s.State))
	line := fmt.Sprintf("%s  %-30s  %s", state, s.Name, s.Detail)
	if s.Code != "" {
		line += fmt.Sprintf(" [%s]. %s", s.Code, s.Advice)
	}
	fmt.Fprintln(a.Stdout, strings.TrimRight(line, " "))
}
