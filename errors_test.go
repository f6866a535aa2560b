package muster_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster"
)

func TestErrorMeaning(t *testing.T) {
	e := &muster.Error{Meaning: muster.ErrThrottled, Code: "throttled", Message: "too many calls", Advice: "wait", Dataset: "software", Err: io.ErrUnexpectedEOF}
	wrapped := fmt.Errorf("page 3: %w", e)
	if !errors.Is(wrapped, muster.ErrThrottled) || !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Error("meaning or cause is lost on the way")
	}
	for _, other := range []error{muster.ErrInvalid, muster.ErrNotFound, muster.ErrConflict, muster.ErrForbidden, muster.ErrUnauthenticated, muster.ErrUnavailable} {
		if errors.Is(wrapped, other) {
			t.Errorf("it means %v too", other)
		}
	}
	if got := muster.AsError(wrapped); got != e {
		t.Errorf("AsError = %+v", got)
	}
	if got := wrapped.Error(); got != "page 3: too many calls: unexpected EOF" {
		t.Errorf("for the log: %s", got)
	}
	want := muster.Notice{Code: "throttled", Message: "too many calls", Advice: "wait", Dataset: "software"}
	if diff := cmp.Diff(want, e.Notice()); diff != "" {
		t.Errorf("notice (-want +got):\n%s", diff)
	}
	bare := &muster.Error{Message: "just so"}
	if bare.Error() != "just so" || len(bare.Unwrap()) != 0 {
		t.Errorf("without a cause: %q, %v", bare, bare.Unwrap())
	}
}

func TestAsErrorOfOthers(t *testing.T) {
	if muster.AsError(nil) != nil {
		t.Error("nil is an error")
	}
	e := muster.AsError(io.ErrUnexpectedEOF)
	if e.Code != "internal" || e.Message == "" || e.Advice == "" || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("%+v", e)
	}
	if n := e.Notice(); n.Message != "internal error" {
		t.Errorf("the cause is told to everybody: %+v", n)
	}
}

func TestInvalid(t *testing.T) {
	refused(t, "an option", muster.Invalid("stale_days", "no", "yes"), "stale_days")
	if !errors.Is(muster.ErrLeaseLost, muster.ErrConflict) {
		t.Error("a lost lease is no conflict")
	}
}
