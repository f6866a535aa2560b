// Command muster gathers what Microsoft Defender for Endpoint knows into a database that
// its owner controls. This package wires the process to package cli and holds no rules.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"muster/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	app := cli.App{Program: os.Args[0], Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	code := app.Run(ctx)
	stop()
	os.Exit(code)
}
