package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/core/failure"
)

// A traceback is legible, and drives no terminal.
func TestPrintFailure(t *testing.T) {
	var b bytes.Buffer
	printFailure(&b, &failure.Record{Plugin: "stage1-x", Version: "1", Time: time.Unix(1, 0), Verb: "validate", Message: "a\tb",
		Log: []string{"panic: \x1b[31moh", "\tmain.go:7"}})
	for _, want := range []string{`failure=validate: a\tb` + "\n", `panic: \x1b[31moh` + "\n\tmain.go:7\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
