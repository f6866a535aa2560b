// Package gather does one run's reading: it decides which datasets are read and how,
// follows the scope, and says of each read whether it was whole. It turns the client's
// rows into batches for a Sink and must not know how those are stored.
package gather
