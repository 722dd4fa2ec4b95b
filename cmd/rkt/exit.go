package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/verify"
)

// Exit statuses. A running pod's status is its own; these are rkt's (sysexits.h where it has one).
const (
	exitUsage       = 2   // words or flags make no sense
	exitUnsupported = 64  // a pod or image that cannot be what it asks to be
	exitNotFound    = 66  // no such image or pod
	exitRefused     = 76  // a signature is missing, bad, or not trusted
	exitInterrupted = 130 // Ctrl-C before the pod ran
	exitOther       = 254 // everything else
)

// usageError is about the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// shownError has been printed already.
type shownError struct{ err error }

func (e *shownError) Error() string { return e.err.Error() }
func (e *shownError) Unwrap() error { return e.err }

func exitCode(err error) int {
	var (
		usage       *usageError
		unsupported *execute.UnsupportedError
		gone        *pod.NotFoundError
		refused     *verify.RefusedError
		coded       interface{ ExitCode() int }
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.As(err, &unsupported):
		return exitUnsupported
	case errors.As(err, &gone), errors.Is(err, store.ErrNotFound):
		return exitNotFound
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, engine.ErrAlreadyStopped):
		return 0
	default:
		return exitOther
	}
}

// quoteControl keeps what an image, a server or a plugin says from driving the terminal.
func quoteControl(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == unicode.ReplacementChar {
			b.WriteString(`\ufffd`)
			continue
		}
		if !unicode.IsGraphic(r) && r != '\n' && r != '\t' { // also what turns the direction of writing
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
