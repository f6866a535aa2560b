// Package ingest is the platform's Sink: it stages what a worker reads, decides the
// scope, and merges staged data into state with history. It sees neither JSON nor the
// Defender API, and closes nothing that muster.Judge does not allow.
package ingest
