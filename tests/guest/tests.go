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
	script, err := os.ReadFile(filepath.Join(o.root, o.command[0]))
	if err != nil {
		return nil // a program of the guest
	}
	for line := range strings.Lines(string(script)) {
		list, ok := strings.CutPrefix(line, directive)
		if !ok {
			continue
		}
		for _, pkg := range strings.Fields(list) {
			name := strings.ReplaceAll(strings.TrimPrefix(filepath.Clean(pkg), "./"), "/", "-") + ".test"
			cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, name), pkg)
			cmd.Dir = o.root
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if _, err := tool(cmd); err != nil {
				return fmt.Errorf("build tests of %s: %w", pkg, err)
			}
		}
	}
	return nil
}
