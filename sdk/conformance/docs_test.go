package conformance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/conformance.md")

// TestDocs holds the table of checks in the documentation equal to the checks.
func TestDocs(t *testing.T) {
	const file, begin, end = "../../docs/conformance.md", "-update -->\n", "<!-- end -->"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	var table strings.Builder
	table.WriteString("| ID | level | capability | |\n|---|---|---|---|\n")
	for _, c := range List() {
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", c.ID, c.Level, c.Capability, c.Title)
	}
	want := head + begin + table.String() + end + tail
	if want == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the checks are: go test ./sdk/conformance -run TestDocs -update", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
