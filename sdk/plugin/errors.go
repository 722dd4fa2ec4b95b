package plugin

import (
	"errors"
	"fmt"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
)

// Error is an error with a reason. rkt chooses its own next step, its text and its exit status by the reason.
// Any other error that a method returns is reported as reason.Internal with its text.
type Error struct {
	Reason   reason.Reason
	Message  string            // lower case, no full stop: "manifest unknown"
	Metadata map[string]string // further facts, for tools
	Err      error             // cause, for errors.Is inside the plugin; its text is part of Message
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error. %w works as in fmt.Errorf.
func Errorf(r reason.Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: r, Message: err.Error(), Err: errors.Unwrap(err)}
}

// With adds one fact and returns e.
func (e *Error) With(key, value string) *Error {
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	e.Metadata[key] = value
	return e
}

// RetryAfterKey is the metadata key under which a wait is given, as time.Duration's text.
const RetryAfterKey = "retry_after"

// RetryAfter says that another try makes sense after d.
func (e *Error) RetryAfter(d time.Duration) *Error { return e.With(RetryAfterKey, d.String()) }

// ConfigInvalid says that the admin's configuration cannot be used.
func ConfigInvalid(format string, args ...any) *Error {
	return Errorf(reason.ConfigInvalid, format, args...)
}

// HostUnfit says that this host lacks something that Probe can name.
func HostUnfit(format string, args ...any) *Error { return Errorf(reason.HostUnfit, format, args...) }

// Busy says that the same call may succeed soon.
func Busy(format string, args ...any) *Error { return Errorf(reason.Busy, format, args...) }

// Unsupported says that the plugin has no such ability.
func Unsupported(format string, args ...any) *Error {
	return Errorf(reason.Unsupported, format, args...)
}
