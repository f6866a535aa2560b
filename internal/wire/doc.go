// Package wire is what crosses between the platform and whoever reads the source:
// lease, job, batch, outcome. It knows neither the Defender API nor a database.
package wire
