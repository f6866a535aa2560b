// Package pgtest gives tests a PostgreSQL server of their own, one for each test process,
// and a database for each test. It must not know Muster, and nothing but tests may import it.
package pgtest
