// Package fault helps to write and to read errors: it makes what a stranger wrote fit for a message, and finds
// the reason of an error. The errors themselves are sdk/plugin's, the reasons proto/reason's.
package fault

import (
	"errors"
	"strconv"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Quote returns s as one quoted line without control characters, and not much longer than 200 bytes.
func Quote(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}

// ReasonOf returns the outermost reason of err, or "".
func ReasonOf(err error) reason.Reason {
	if e, ok := errors.AsType[*plugin.Error](err); ok {
		return e.Reason
	}
	return ""
}
