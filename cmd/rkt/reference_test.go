package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rkt/rkt/v2/cmd/rkt/internal/reference"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/reason"
)

// committed compares files below docs with what the code says now, and with -update writes them. A directory holds
// nothing else.
func committed(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	root := filepath.Join("../../docs", dir)
	if *update {
		if dir != "" {
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range want {
			if err := os.MkdirAll(root, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, b := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("docs/%s is not what the code says (%v): go test ./cmd/rkt -update", filepath.Join(dir, name), err)
		}
	}
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if want[e.Name()] == nil {
			t.Errorf("docs/%s/%s is of nothing that rkt has: go test ./cmd/rkt -update removes it", dir, e.Name())
		}
	}
}

func TestReference(t *testing.T) {
	pages := map[string][]byte{}
	index := "# Commands\n\nEach page is the command's --help; `make` writes the same as man pages.\n\n"
	err := reference.Walk(documented(), func(c *cobra.Command) error {
		b, err := reference.Markdown(c)
		pages[reference.Name(c)+".md"] = b
		index += fmt.Sprintf("* [%s](%s.md): %s\n", c.CommandPath(), reference.Name(c), c.Short)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages["README.md"] = []byte(index)
	committed(t, "cli", pages)
}

// TestReferenceIsHelp: what a page shows is what a user sees.
func TestReferenceIsHelp(t *testing.T) {
	err := reference.Walk(documented(), func(c *cobra.Command) error {
		out, errs, code := rkt(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if code != 0 || errs != "" {
			t.Errorf("%s --help: %d, %q", c.CommandPath(), code, errs)
		}
		page, err := os.ReadFile(filepath.Join("../../docs/cli", reference.Name(c)+".md"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if line = strings.TrimRight(line, " \t\n"); !strings.Contains(string(page), line+"\n") {
				t.Errorf("docs/cli/%s.md lacks %q", reference.Name(c), line)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestMan: every page has a name for apropos, every flag, and no line that roff would take for a request of ours.
func TestMan(t *testing.T) {
	edition := reference.Edition{Version: "9.8.7", Date: time.Unix(0, 0)}
	err := reference.Walk(documented(), func(c *cobra.Command) error {
		page := string(reference.Man(c, edition))
		name := strings.ReplaceAll(reference.Name(c), "-", `\-`)
		for _, want := range []string{`"1970-01-01" "rkt 9.8.7"`, ".SH NAME\n" + name + ` \- `, ".SH DESCRIPTION\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in\n%s", c.CommandPath(), want, page)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fR`) {
				t.Errorf("%s: the page lacks --%s", c.CommandPath(), f.Name)
			}
		})
		for line := range strings.Lines(page) {
			request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case strings.HasPrefix(line, "'"):
				t.Errorf("%s: %q is a request", c.CommandPath(), line)
			case strings.HasPrefix(line, ".") && !strings.Contains(" .TH .SH .B .PP .nf .fi .TP ", " "+request+" "):
				t.Errorf("%s: %q is a request", c.CommandPath(), line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExitCodesDocument: docs/exit-codes.md is the table that exitCode goes by.
func TestExitCodesDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<!-- Written by ` + "`go test ./cmd/rkt -run TestExitCodes -update`" + `. -->
# Exit statuses

` + "`rkt run`, `rkt run-prepared` and a unit made of them exit with the status of the pod: that of its first app that failed,\nor 0. `rkt enter` exits with the status of its command. Both are what a shell would show: 128+N after signal N, 127 for a\nprogram that was not found, 126 for one that could not be executed." + `

When rkt itself fails, the status is one of these (sysexits.h where it has one); ` + "`rkt help exit-codes`" + ` prints the same.
Statuses are stable: a new reason may get an old status, no reason changes its own.

| status | when | reasons of plugins |
|---|---|---|
`)
	for _, r := range exitRows() {
		var reasons []string
		for _, known := range r.reasons {
			reasons = append(reasons, "`"+string(known)+"`")
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", r.code, strings.Join(r.when, "; "), strings.Join(reasons, " "))
	}
	b.WriteString("\nWhat each reason means is in [errors.md](errors.md).\n")
	committed(t, "", map[string][]byte{"exit-codes.md": []byte(b.String())})
}

// TestExitCodesReachable: each reason ends a command with the status that the table shows, whatever wraps it.
func TestExitCodesReachable(t *testing.T) {
	of := map[reason.Reason]int{}
	for _, r := range exitRows() {
		for _, known := range r.reasons {
			of[known] = r.code
		}
	}
	for _, row := range reason.Table() {
		err := fmt.Errorf("run: %w", &shownError{&plugin.Error{Plugin: "p", Reason: row.Reason}})
		if got := exitCode(err); got != of[row.Reason] || got == 0 || got == exitOther {
			t.Errorf("%s: exit status %d, documented %d", row.Reason, got, of[row.Reason])
		}
	}
	if got := exitCode(&plugin.Error{Reason: "OF_A_LATER_MINOR"}); got != of[reason.Internal] {
		t.Errorf("an unknown reason: exit status %d, want that of INTERNAL, %d", got, of[reason.Internal])
	}
}
