package scaffold

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rktModule is what a plugin imports the sdk from.
const rktModule = "github.com/rkt/rkt/v2"

// goVersion is the language that a plugin is begun with when there is no checkout to ask.
const goVersion = "1.26.0"

// module adds go.mod and, with a checkout, go.sum. A checkout's own requirements are taken over, so that the plugin is
// built from the versions that the sdk was tested with, and at once: `go mod tidy` drops what it does not need.
func (p *Plugin) module(out map[string]string) error {
	if p.SDK == "" {
		out["go.mod"] = fmt.Sprintf("module %s\n\ngo %s\n\nrequire %s v%s\n", p.Module, goVersion, rktModule, strings.TrimPrefix(p.Version, "v"))
		return nil
	}
	dir, err := filepath.Abs(p.SDK)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return fmt.Errorf("read the checkout of rkt: %w", err)
	}
	mod := parse(string(b))
	if mod.name != rktModule {
		return fmt.Errorf("read the checkout of rkt: %s/go.mod is of module %q, not of %s", dir, mod.name, rktModule)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return fmt.Errorf("read the checkout of rkt: %w", err)
	}
	out["go.sum"] = string(sum)
	out["go.mod"] = fmt.Sprintf("module %s\n\ngo %s\n\nrequire %s v2.0.0\n\nrequire (\n%s)\n\nreplace %s => %s\n",
		p.Module, mod.golang, rktModule, mod.require, rktModule, quoted(dir))
	return nil
}

// quoted writes a path as go.mod wants it.
func quoted(dir string) string {
	if strings.ContainsAny(dir, " \t\"'`()\\") {
		return fmt.Sprintf("%q", dir)
	}
	return dir
}

// goMod is the part of a go.mod that matters here.
type goMod struct {
	name, golang string
	require      string // lines, each "\tPATH VERSION // indirect\n"
}

// parse reads a go.mod as the go command writes it: one statement a line, parentheses around several.
func parse(text string) goMod {
	var m goMod
	var lines []string
	inside := false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && f[0] == ")":
			inside = false
		case inside && len(f) == 2:
			lines = append(lines, fmt.Sprintf("\t%s %s // indirect\n", f[0], f[1]))
		case len(f) == 2 && f[0] == "require" && f[1] == "(":
			inside = true
		case len(f) == 3 && f[0] == "require":
			lines = append(lines, fmt.Sprintf("\t%s %s // indirect\n", f[1], f[2]))
		case len(f) == 2 && f[0] == "module":
			m.name = f[1]
		case len(f) == 2 && f[0] == "go":
			m.golang = f[1]
		}
	}
	slices.Sort(lines)
	m.require = strings.Join(lines, "")
	return m
}
