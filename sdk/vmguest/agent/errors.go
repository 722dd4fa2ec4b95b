package agent

import (
	"errors"
	"fmt"
)

// ErrClosed says that the channel is gone: the guest has ended or broke a rule of the protocol (Client.Err
// says which).
var ErrClosed = errors.New("channel to the guest is closed")

// Code is why the guest refused.
type Code string

// The codes.
const (
	CodeUnknown    Code = "unknown-operation" // this guest does not know the operation
	CodeBadRequest Code = "bad-request"
	CodeNotFound   Code = "not-found"   // no such app or process
	CodeState      Code = "wrong-state" // not started, already started, ended
	CodeBusy       Code = "busy"        // not now
	CodeFailed     Code = "failed"      // tried, and did not work
)

// Error is the guest's refusal.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Error shows the guest's text.
func (e *Error) Error() string { return e.Text }

// Is makes errors.Is(err, &Error{Code: c}) compare codes.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Text == ""
}

// Refuse makes an Error.
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// refusal makes any error one for the wire.
func refusal(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Code: e.Code, Text: err.Error()}
	}
	return &Error{Code: CodeFailed, Text: err.Error()}
}
