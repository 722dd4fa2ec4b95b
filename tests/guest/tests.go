package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// directive begins a line of a command's script that names packages whose tests the guest is to have:
//
//	#guest:tests ./core/cgroup ./tests/e2e
const directive = "#guest:tests "

// buildTests compiles them into dir, core/cgroup as core-cgroup.test. The guest is too slow to compile.
func buildTests(ctx context.Context, o options, dir string) error {
	for _, pkg := range named(o) {
		name := strings.ReplaceAll(strings.TrimPrefix(filepath.Clean(pkg), "./"), "/", "-") + ".test"
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir = o.root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if _, err := tool(cmd); err != nil {
			return fmt.Errorf("build tests of %s: %w", pkg, err)
		}
	}
	return nil
}

// named collects the packages of every word of the command that is a file of the repository.
func named(o options) []string {
	var out []string
	for _, word := range o.command {
		script, err := os.ReadFile(filepath.Join(o.root, word))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(script)) {
			if list, ok := strings.CutPrefix(line, directive); ok {
				out = append(out, strings.Fields(list)...)
			}
		}
	}
	return out
}
