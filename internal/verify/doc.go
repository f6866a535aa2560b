// Package verify recomputes everything in a database that is derived from something else
// and says what does not agree. It must not change anything, nor know which engine it reads.
package verify
