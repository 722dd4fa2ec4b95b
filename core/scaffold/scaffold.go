package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/example"
)

//go:embed files
var files embed.FS

// kind is a service with an example that plugins of it begin with.
type kind struct {
	name    string
	example string
	about   string
	words   func(suffix string) []string // replaced in its source, beside the name: old, new, old, new...
	// whole: the example's own test is the plugin's too, because the kit tests the kind whole as any user.
	whole bool
}

func kinds() []kind {
	return []kind{
		{"stage1", "stage1-chroot", "an app is one process, in a chroot", nil, false},
		{"stage1", "stage1-pidns", "an init of your own in front of each app, and enter", nil, true},
		{"fetcher", "fetcher-file", "image layouts from directories", func(suffix string) []string {
			return []string{`"path"`, `"` + suffix + `"`, "path://", suffix + "://"}
		}, true},
		{"verifier", "verifier-digest", "a list of digests, from a configuration", nil, true},
		{"network", "network-veth", "a pair of links", func(suffix string) []string { return []string{`{"veth"}`, `{"` + suffix + `"}`} }, false},
	}
}

// Kinds are the words that Plugin.Kind can be.
func Kinds() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.name)
	}
	return slices.Compact(out)
}

// Examples are the words that Plugin.Example can be, each with what it shows. The first of a kind is the one without a word.
func Examples() [][2]string {
	var out [][2]string
	for _, k := range kinds() {
		out = append(out, [2]string{k.example, k.about})
	}
	return out
}

// Plugin is what to begin.
type Plugin struct {
	Kind string
	Name string
	// Example is what it begins as: of Examples one of the kind; empty for the first.
	Example string
	Dir     string // to be made, or empty
	Module  string // of go.mod; "example.com/rkt-NAME" when empty
	// SDK is a checkout of rkt to build against, empty for the release Version.
	SDK     string
	Version string // of rkt: "2.0.0"
}

// Write makes the module. It returns the names of its files.
func (p Plugin) Write() (names []string, err error) {
	k, err := p.check()
	if err != nil {
		return nil, fmt.Errorf("begin plugin: %w", err)
	}
	out := map[string]string{}
	if err := p.source(k, out); err != nil {
		return nil, fmt.Errorf("begin plugin: %w", err)
	}
	if err := p.around(k, out); err != nil {
		return nil, fmt.Errorf("begin plugin: %w", err)
	}
	if err := p.module(out); err != nil {
		return nil, fmt.Errorf("begin plugin: %w", err)
	}
	if err := write(p.Dir, out); err != nil {
		return nil, fmt.Errorf("begin plugin: %w", err)
	}
	for name := range out {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (p *Plugin) check() (kind, error) {
	if !slices.Contains(Kinds(), p.Kind) {
		return kind{}, fmt.Errorf("kind %q is none of %s", p.Kind, strings.Join(Kinds(), ", "))
	}
	i := slices.IndexFunc(kinds(), func(k kind) bool { return k.name == p.Kind && (p.Example == "" || p.Example == k.example) })
	if i < 0 {
		return kind{}, fmt.Errorf("there is no example %q of kind %s", p.Example, p.Kind)
	}
	if !manifest.ValidName(p.Name) {
		return kind{}, fmt.Errorf("name %q is not of the form [a-z][a-z0-9-]{0,62}", p.Name)
	}
	if p.Module == "" {
		p.Module = "example.com/rkt-" + p.Name
	}
	if strings.ContainsAny(p.Module, " \t\r\n\"`()\\") {
		return kind{}, fmt.Errorf("module %q is no module path", p.Module)
	}
	if p.SDK == "" && strings.Contains(p.Version, "-") {
		return kind{}, fmt.Errorf("rkt %s is no release that go.mod could name: give the checkout to build against (--sdk=DIR)", p.Version)
	}
	return kinds()[i], nil
}

// suffix is the name less its kind: "s3" of "fetcher-s3".
func (p *Plugin) suffix() string {
	if s, ok := strings.CutPrefix(p.Name, p.Kind+"-"); ok && s != "" {
		return s
	}
	return p.Name
}

// source takes the example's files, with the plugin's name for its own.
func (p *Plugin) source(k kind, out map[string]string) error {
	words := []string{k.example, p.Name}
	if k.words != nil {
		words = append(words, k.words(p.suffix())...)
	}
	replace := strings.NewReplacer(words...)
	all := example.Files()
	return fs.WalkDir(all, k.example, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := all.ReadFile(name)
		out[strings.TrimPrefix(name, k.example+"/")] = replace.Replace(string(b))
		return err
	})
}

// around adds what is beside the source.
func (p *Plugin) around(k kind, out map[string]string) error {
	levels := ""
	if !k.whole {
		levels = " As root it tests what root makes, too."
	}
	replace := strings.NewReplacer("@NAME@", p.Name, "@KIND@", p.Kind, "@EXAMPLE@", k.example, "@LEVELS@", levels,
		"@NAMEPAD@", strings.Repeat(" ", len(p.Name)+1))
	entries, err := files.ReadDir("files")
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := files.ReadFile(path.Join("files", e.Name()))
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(e.Name(), ".txt") // else this module would build it
		if name == "gitignore" {
			name = ".gitignore"
		}
		if _, own := out[name]; own && k.whole {
			continue
		}
		out[name] = replace.Replace(string(b))
	}
	return nil
}

// write makes the directory with the files in it, all or nothing.
func write(dir string, out map[string]string) (err error) {
	made := false
	switch entries, rerr := os.ReadDir(dir); {
	case rerr == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty", dir)
	case errors.Is(rerr, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		made = true
	case rerr != nil:
		return rerr
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var done []string
	defer func() {
		if err == nil {
			return
		}
		for _, name := range done {
			root.Remove(name)
		}
		if made {
			os.Remove(dir)
		}
	}()
	for name, text := range out {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		done = append(done, name)
		_, werr := f.WriteString(text)
		if err := errors.Join(werr, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
