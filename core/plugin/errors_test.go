package plugin

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/rkt/rkt/v2/proto/reason"
)

var update = flag.Bool("update", false, "write docs/errors.md")

// TestKinds: every reason of the contract has its row here, in the same order, with a sentinel of its own.
func TestKinds(t *testing.T) {
	var here, contract []reason.Reason
	seen := map[error]reason.Reason{}
	for _, k := range kinds() {
		here = append(here, k.reason)
		if was, ok := seen[k.err]; ok {
			t.Errorf("%s and %s have one sentinel", was, k.reason)
		}
		seen[k.err] = k.reason
		if err := error(&Error{Reason: k.reason}); !errors.Is(err, k.err) {
			t.Errorf("%s: not its sentinel %v", k.reason, k.err)
		}
		if k.exit < 64 || k.exit > 78 {
			t.Errorf("%s: exit status %d is none of sysexits.h", k.reason, k.exit)
		}
	}
	for _, r := range reason.Table() {
		contract = append(contract, r.Reason)
	}
	if !slices.Equal(here, contract) {
		t.Errorf("core has\n%v\nthe contract has\n%v", here, contract)
	}
}

// TestErrorsDocument: docs/errors.md is both tables.
func TestErrorsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<!-- Written by ` + "`go test ./core/plugin -run TestErrorsDocument -update`" + `. -->
# Errors of plugins

A plugin's error is a gRPC status with a ` + "`google.rpc.ErrorInfo`" + ` whose domain is ` + "`" + reason.Domain + "`" + ` and whose reason is one of these words
(` + "`proto/reason`" + `). The code is for clients that know no reasons. The text says what was being done and what was wrong, in
one line and without the plugin's name; rkt shows it as ` + "`VERB: PLUGIN VERSION: TEXT [REASON]`" + ` and exits with the status below.
A word that rkt does not know counts as INTERNAL, and so does one of core's own when a plugin sends it.

| reason | from | gRPC code | exit status | meaning |
|---|---|---|---|---|
`)
	for _, r := range reason.Table() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %s |\n", r.Reason, r.Sender, codes.Code(r.Code), ExitCode(r.Reason), r.Meaning)
	}
	const path = "../../docs/errors.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/errors.md is not what the tables say (%v): go test ./core/plugin -run TestErrorsDocument -update", err)
	}
}
