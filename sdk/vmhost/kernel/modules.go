package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Table is what depmod knows of a kernel's modules.
type Table struct {
	dir     string
	files   map[string]string   // module name -> file below dir
	needs   map[string][]string // file -> files that must be loaded before it, nearest first
	soft    map[string][]string // module name -> names wanted before it
	builtin map[string]bool
}

// Read reads modules.dep, modules.builtin and modules.softdep of a module directory. With an empty dir every
// module counts as built in.
func Read(dir string) (*Table, error) {
	t := &Table{dir: dir, files: map[string]string{}, needs: map[string][]string{}, soft: map[string][]string{}, builtin: map[string]bool{}}
	if dir == "" {
		return t, nil
	}
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	if err := t.parseDep(string(dep)); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "modules.dep"), err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		t.builtin[Name(strings.TrimSpace(line))] = true
	}
	s, err := os.ReadFile(filepath.Join(dir, "modules.softdep"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	t.parseSoft(string(s))
	return t, nil
}

// parseDep takes lines "kernel/a.ko: kernel/b.ko kernel/c.ko".
func (t *Table) parseDep(s string) error {
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		file, needs, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("%q is not FILE: FILES", line)
		}
		fields := strings.Fields(needs)
		for _, f := range append([]string{file}, fields...) {
			if !filepath.IsLocal(f) {
				return fmt.Errorf("%q lies outside of the directory", f)
			}
		}
		t.files[Name(file)] = file
		t.needs[file] = fields
	}
	return nil
}

// parseSoft takes lines "softdep libcrc32c pre: crc32c". What is wanted afterwards is nothing that a guest misses.
func (t *Table) parseSoft(s string) {
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "softdep" {
			continue
		}
		pre := false
		for _, w := range f[2:] {
			switch {
			case w == "pre:":
				pre = true
			case w == "post:":
				pre = false
			case pre:
				t.soft[Name(f[1])] = append(t.soft[Name(f[1])], Name(w))
			}
		}
	}
}

// Name is the name of the module in a file: dashes and underscores are the same, suffixes do not count.
func Name(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}

// Has says whether the kernel can do what the module of that name does.
func (t *Table) Has(module string) bool {
	module = Name(module)
	return t.dir == "" || t.builtin[module] || t.files[module] != ""
}

// Order returns the files of the modules and of all that they need, each before what needs it. What is built in
// needs no file; a module that the kernel has not at all is an error that names it.
func (t *Table) Order(modules ...string) ([]string, error) {
	w := &walk{t: t, state: map[string]int{}}
	for _, m := range modules {
		if !t.Has(m) {
			return nil, fmt.Errorf("order modules: %s has no module %s, and it is not built in", t.dir, m)
		}
		if f := t.files[Name(m)]; f != "" {
			if err := w.visit(f); err != nil {
				return nil, fmt.Errorf("order modules: %w", err)
			}
		}
	}
	return w.order, nil
}

// walk is a depth-first search. state is 1 while a file's needs are visited, 2 afterwards.
type walk struct {
	t     *Table
	state map[string]int
	order []string
}

func (w *walk) visit(file string) error {
	switch w.state[file] {
	case 1:
		return fmt.Errorf("%s needs itself", file)
	case 2:
		return nil
	}
	w.state[file] = 1
	for _, name := range w.t.soft[Name(file)] {
		// A soft dependency is a wish: "crc32c" is an alias of several, and a circle of wishes is none.
		if f := w.t.files[name]; f != "" && w.state[f] != 1 {
			if err := w.visit(f); err != nil {
				return err
			}
		}
	}
	needs := slices.Clone(w.t.needs[file])
	slices.Reverse(needs) // depmod lists the nearest first, its own needs behind it
	for _, n := range needs {
		if _, ok := w.t.needs[n]; !ok {
			return fmt.Errorf("%s needs %s, which modules.dep does not list", file, n)
		}
		if err := w.visit(n); err != nil {
			return err
		}
	}
	w.state[file] = 2
	w.order = append(w.order, file)
	return nil
}

// Path is the whole path of a file that Order returned.
func (t *Table) Path(file string) string { return filepath.Join(t.dir, filepath.FromSlash(file)) }
