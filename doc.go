// Package muster holds the words and rules of the domain: connector, scope, run,
// machine, device, absence. It imports the standard library only and must not know
// how data is read, stored or shown.
package muster
