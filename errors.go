package muster

import (
	"errors"
	"fmt"
)

// The few meanings an error can have. Everything else is internal.
var (
	ErrInvalid         = errors.New("invalid")
	ErrNotFound        = errors.New("not found")
	ErrConflict        = errors.New("conflict")
	ErrForbidden       = errors.New("forbidden")
	ErrUnauthenticated = errors.New("unauthenticated")
	ErrUnavailable     = errors.New("unavailable")
	ErrThrottled       = errors.New("throttled")
)

// ErrLeaseLost means that somebody else holds the run now: stop, write nothing more.
var ErrLeaseLost = fmt.Errorf("lease lost: %w", ErrConflict)

// Error is what a person is told: a stable code, one sentence, and what to do.
type Error struct {
	Meaning error  // one of the Err… values; nil = internal
	Code    string // stable, see Codes in the contracts: "wrong_secret", "invalid_stale_days"
	Message string // one plain sentence, no secret in it
	Advice  string // what the reader can do
	Dataset string // where it concerns one dataset
	Err     error  // the cause, for the log only
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives meaning and cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Meaning != nil {
		all = append(all, e.Meaning)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Invalid is a refused option: code "invalid_<option>".
func Invalid(option, message, advice string) *Error {
	return &Error{Meaning: ErrInvalid, Code: "invalid_" + option, Message: message, Advice: advice}
}

// AsError finds the Error in err, or wraps err as internal.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: "internal", Message: "internal error", Advice: "Run it again; if it stays, report it with the log.", Err: err}
}

// Notice is a warning or error as it is recorded with a run and printed by --json.
type Notice struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Advice  string `json:"advice"`
	Dataset string `json:"dataset,omitempty"`
}

// Notice drops the cause, which is for the log alone.
func (e *Error) Notice() Notice {
	return Notice{Code: e.Code, Message: e.Message, Advice: e.Advice, Dataset: e.Dataset}
}
