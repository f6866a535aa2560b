// Package store says what the platform remembers: small role interfaces, one per use,
// and the rows they speak of. It must not know SQL, HTTP or the Defender API.
package store
