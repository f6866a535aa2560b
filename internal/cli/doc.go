// Package cli is Muster's command line: flags to calls, results to text, errors to exit
// codes. It must not hold rules of the domain, and knows no SQL and no Defender API.
package cli
