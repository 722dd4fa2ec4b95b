package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenceFile matches the names under which projects keep their terms.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents)(\.(md|txt|rst|[a-z0-9-]+))?$`)

// licences is the text that goes with the binaries: the terms of every module in them, to the letter. Equal texts are
// printed once, below the names of all that have them. A module without terms is an error.
func licences(mods []module, own string) ([]byte, error) {
	type text struct {
		body  string
		names []string
	}
	var texts []*text
	add := func(name, body string) {
		body = strings.TrimSpace(body)
		for _, t := range texts {
			if t.body == body {
				t.names = append(t.names, name)
				return
			}
		}
		texts = append(texts, &text{body, []string{name}})
	}
	b, err := os.ReadFile(own)
	if err != nil {
		return nil, err
	}
	add("rkt", string(b))
	dirs, err := directories(mods)
	if err != nil {
		return nil, err
	}
	for _, m := range mods {
		found, err := terms(dirs[module{path: m.path, version: m.version}])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.path, m.version, err)
		}
		for _, body := range found {
			add(m.path+" "+m.version, body)
		}
	}
	var out bytes.Buffer
	out.WriteString("The binaries of this package are made of rkt and of the Go modules below, each under its own terms.\n")
	for _, t := range texts {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(t.names, "\n"), strings.Repeat("=", 80), t.body)
	}
	return out.Bytes(), nil
}

// directories are where the modules' sources lie, by path and version.
func directories(mods []module) (map[module]string, error) {
	args := []string{"list", "-m", "-f", "{{.Path}}\t{{.Version}}\t{{.Dir}}"}
	out := map[module]string{}
	for _, m := range mods {
		if m.path == "std" {
			root, err := golang("env", "GOROOT")
			if err != nil {
				return nil, err
			}
			out[module{path: m.path, version: m.version}] = strings.TrimSpace(root)
			continue
		}
		args = append(args, m.path+"@"+m.version)
	}
	if len(out) == len(mods) {
		return out, nil
	}
	list, err := golang(args...)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || f[2] == "" {
			return nil, fmt.Errorf("find the sources of %s: go mod download brings them", f[0])
		}
		out[module{path: f[0], version: f[1]}] = f[2]
	}
	return out, nil
}

// golang asks the go command, which asks nobody.
func golang(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// terms reads the files of a module's top directory that hold its terms.
func terms(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || slices.Contains([]string{".go", ".mod"}, filepath.Ext(e.Name())) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no licence in %s", dir)
	}
	return out, nil
}
