package scaffold

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rktModule is what a plugin imports the sdk from.
const rktModule = "github.com/rkt/rkt/v2"

// goVersion is the language that a plugin is begun with when there is no checkout to ask.
const goVersion = "1.26.0"

// modulesFile of a checkout names the modules that plugins need: what `go mod tidy` leaves of a checkout's own.
const modulesFile = "sdk/example/modules.txt"

// module adds go.mod and, with a checkout, go.sum. A checkout's own requirements are taken over, so that the plugin is
// built from the versions that the sdk was tested with, and at once.
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
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the checkout of rkt: %s is none: it has no go.mod", dir)
	}
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
	wanted, err := os.ReadFile(filepath.Join(dir, modulesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a checkout without it: all are taken, `go mod tidy` drops some
		return fmt.Errorf("read the checkout of rkt: %w", err)
	}
	direct, err := imports(out)
	if err != nil {
		return err
	}
	here, behind := []string{"\t" + rktModule + " v2.0.0\n"}, []string{}
	for _, m := range mod.require {
		path, _, _ := strings.Cut(m, " ")
		switch {
		case slices.ContainsFunc(direct, func(i string) bool { return i == path || strings.HasPrefix(i, path+"/") }):
			here = append(here, "\t"+m+"\n")
		case len(wanted) == 0 || slices.Contains(strings.Fields(string(wanted)), path):
			behind = append(behind, "\t"+m+" // indirect\n")
		}
	}
	out["go.sum"] = string(sum)
	out["go.mod"] = fmt.Sprintf("module %s\n\ngo %s\n\n%s\n%s\nreplace %s => %s\n",
		p.Module, mod.golang, require(here), require(behind), rktModule, quoted(dir))
	return nil
}

// require is the statement as `go mod tidy` writes it.
func require(lines []string) string {
	if len(lines) == 1 {
		return "require " + strings.TrimPrefix(lines[0], "\t")
	}
	return "require (\n" + strings.Join(lines, "") + ")\n"
}

// imports are what the Go files import.
func imports(files map[string]string) ([]string, error) {
	var out []string
	for name, text := range files {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, i := range f.Imports {
			out = append(out, strings.Trim(i.Path.Value, `"`))
		}
	}
	return out, nil
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
	require      []string // each "PATH VERSION"
}

// parse reads a go.mod as the go command writes it: one statement a line, parentheses around several.
func parse(text string) goMod {
	var m goMod
	inside := false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && f[0] == ")":
			inside = false
		case inside && len(f) == 2:
			m.require = append(m.require, f[0]+" "+f[1])
		case len(f) == 2 && f[0] == "require" && f[1] == "(":
			inside = true
		case len(f) == 3 && f[0] == "require":
			m.require = append(m.require, f[1]+" "+f[2])
		case len(f) == 2 && f[0] == "module":
			m.name = f[1]
		case len(f) == 2 && f[0] == "go":
			m.golang = f[1]
		}
	}
	slices.Sort(m.require)
	return m
}
