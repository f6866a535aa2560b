package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"muster"
)

// errRaced is a row that another transaction has added since it was looked for: looking
// again finds it.
var errRaced = errors.New("another transaction added the same row")

// Codes of the server: https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	diskFull             = "53100"
	tooManyConnections   = "53300"
	programLimit         = "54000"
	queryCanceled        = "57014"
	readOnlyTransaction  = "25006"
	noPrivilege          = "42501"
	unknownDatabase      = "3D000"
)

// code is what the server calls an error; "" for one that is not the server's.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Again implements relational.Engine.
func (*engine) Again(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected || errors.Is(err, errRaced)
}

// Lost implements relational.Engine.
func (*engine) Lost(err error) bool {
	if c := code(err); c != "" {
		// Connection exceptions, a server that stops, starts or is full.
		return strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || c == tooManyConnections
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn)
}

func (e *engine) readOnly(err error) error {
	return unreachable(err, "the "+e.where+" can only be read", "Name the primary server; where there are several hosts, add target_session_attrs=read-write.")
}

func (e *engine) forbidden(err error) error {
	return unreachable(err, "the database user lacks a right in the "+e.where, "Make the user the owner of the database, or grant it CREATE and USAGE on its schema.")
}

func unreachable(err error, message, advice string) error {
	return &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: message, Advice: advice, Err: err}
}

// interrupted tells of a server that was there and went away, or comes just now; one that
// cannot be reached at all is not waited for.
func interrupted(err error) bool {
	var connect *pgconn.ConnectError
	if c := code(err); c != "" {
		return strings.HasPrefix(c, "57P")
	}
	return (&engine{}).Lost(err) && !errors.As(err, &connect)
}

// Explain implements relational.Engine.
func (e *engine) Explain(err error) error {
	switch c := code(err); {
	case c == uniqueViolation || errors.Is(err, errRaced):
		return fmt.Errorf("%w: %w", muster.ErrConflict, err)
	case c == diskFull:
		return &muster.Error{
			Meaning: muster.ErrUnavailable, Code: "disk_full", Message: "the database could not be written: its server has no space left",
			Advice: "Free some space there and run it again; what was gathered is kept.", Err: err,
		}
	case c == serializationFailure || c == deadlockDetected:
		return unreachable(err, "the database was too busy: others wrote the same rows again and again", "Run it again.")
	case c == queryCanceled:
		return unreachable(err, "the database server ended a statement", "Look at the server's statement_timeout and its log, then run it again.")
	case c == programLimit:
		return &muster.Error{Code: "bad_answer", Message: "the source gave a name that is too long for an index of PostgreSQL", Advice: "Use an SQLite database, or ask for help.", Err: err}
	case c == readOnlyTransaction:
		return e.readOnly(err)
	case c == noPrivilege:
		return e.forbidden(err)
	case c == unknownDatabase:
		return &muster.Error{Meaning: muster.ErrInvalid, Code: "invalid_db", Message: "there is no " + e.where, Advice: "Make it first: CREATE DATABASE name ENCODING 'UTF8'.", Err: err}
	case strings.HasPrefix(c, "28"):
		return unreachable(err, "the "+e.where+" refused the user or the password", "Check both; the password may come from the URL, PGPASSWORD or ~/.pgpass.")
	case e.Lost(err):
		return unreachable(err, "the "+e.where+" cannot be reached: "+reason(err), "Check the address, the network and the server, then run it again; what was gathered is kept.")
	}
	return err
}

// reason says in a few words why there is no connection.
func reason(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &name):
		return "its name is not known"
	case errors.As(err, &certificate):
		return "its certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, syscall.ENOENT):
		return "there is no such socket"
	case code(err) == tooManyConnections:
		return "it takes no more connections"
	case strings.HasPrefix(code(err), "57P"):
		return "the server stops or starts"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		return "it did not answer in time"
	}
	return "the connection was lost"
}
