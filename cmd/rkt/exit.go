package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/verify"
	"github.com/rkt/rkt/v2/proto/reason"
)

// exitOther is the status of every failure without one of its own; the first rkt had no other.
const exitOther = 254

// usageError is about the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// shownError has been printed already.
type shownError struct{ err error }

func (e *shownError) Error() string { return e.err.Error() }
func (e *shownError) Unwrap() error { return e.err }

// exit is a row of the table of rkt's own exit statuses. A running pod's status is the pod's.
type exit struct {
	code int
	when string
	is   func(error) bool
}

// exits are tried in this order. What a plugin says, or core says of one, has its status by its reason; the rest
// of the table is exitRows.
func exits() []exit {
	return []exit{
		{2, "the words or flags of the command make no sense", func(err error) bool { return as[*usageError](err) }},
		{76, "a signature is missing, bad, or not trusted", func(err error) bool { return as[*verify.RefusedError](err) }},
		{130, "Ctrl-C or SIGTERM before the pod ran", func(err error) bool { return errors.Is(err, context.Canceled) }},
		{0, "", func(err error) bool { return ownCode(err) > 0 }},
		{64, "the flavor cannot run such a pod", func(err error) bool { return as[*execute.UnsupportedError](err) }},
		{64, "a file of the configuration cannot be used", func(err error) bool { return as[*config.InvalidError](err) }},
		{64, "an image name that cannot be read", func(err error) bool { return errors.Is(err, image.ErrInvalid) }},
		{66, "no such pod or app, or no such image in the store", func(err error) bool {
			return as[*pod.NotFoundError](err) || as[*engine.AppError](err) || errors.Is(err, store.ErrNotFound)
		}},
		{69, "the pod is in another state than the command wants", func(err error) bool { return as[*pod.StateError](err) }},
		{0, "success; also stop of a pod that has ended already", func(err error) bool { return errors.Is(err, engine.ErrAlreadyStopped) }},
		{exitOther, "everything else", func(error) bool { return true }},
	}
}

// ownCode is the status that an error brings: a plugin's reason has one, and what ended a start in the background.
func ownCode(err error) int {
	var perr *plugin.Error
	var ended *execute.EndedError
	switch {
	case errors.As(err, &perr):
		return perr.ExitCode()
	case errors.As(err, &ended):
		return ended.ExitCode()
	}
	return 0
}

func as[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}

func exitCode(err error) int {
	for _, e := range exits() {
		if !e.is(err) {
			continue
		}
		if e.when == "" {
			return ownCode(err)
		}
		return e.code
	}
	return exitOther
}

// exitRow is one status with all that it can mean.
type exitRow struct {
	code    int
	when    []string
	reasons []reason.Reason
}

// exitRows is the whole table, by status.
func exitRows() []exitRow {
	var rows []exitRow
	row := func(code int) *exitRow {
		i, ok := slices.BinarySearchFunc(rows, code, func(r exitRow, c int) int { return r.code - c })
		if !ok {
			rows = slices.Insert(rows, i, exitRow{code: code})
		}
		return &rows[i]
	}
	for _, e := range exits() {
		if e.when != "" {
			r := row(e.code)
			r.when = append(r.when, e.when)
		}
	}
	for _, known := range reason.Table() {
		r := row(plugin.ExitCode(known.Reason))
		r.reasons = append(r.reasons, known.Reason)
	}
	return rows
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
