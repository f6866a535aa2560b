// Package emulator is the far side: Entra sign-in, the Defender API and its file
// store over a seeded world that ages day by day and can state the truth a correct
// gathering must hold. It must not know defender's client, mapping or ingest.
package emulator
