// Command muster gathers what Microsoft Defender for Endpoint knows into a database that
// its owner controls. This package wires the process to package cli and holds no rules.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"muster/internal/cli"
)

// garbage is how much of it, in percent of what is in use, may pile up before it is
// collected: the memory that a gathering needs counts for more than a few percent of time.
const garbage = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	app := cli.App{Program: os.Args[0], Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	code := app.Run(ctx)
	stop()
	os.Exit(code)
}
