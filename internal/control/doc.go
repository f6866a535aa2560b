// Package control decides what may happen to connectors and runs: who starts, who
// waits, who takes over, how a run ends. It is the platform's Board and must not know
// how data is read or stored.
package control
