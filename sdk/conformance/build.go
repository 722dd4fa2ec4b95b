package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// Build makes a plugin's directory of Go packages for a test: the plugin of pkg, its plugin.json and the schema of its
// configuration as the binary writes them, and its further programs, by file name. Everything is linked statically, as for a release. The directory goes away
// with the test.
func Build(t T, pkg string, programs map[string]string) string {
	t.Helper()
	dir, err := build(scratch(t), pkg, programs)
	if err != nil {
		t.Fatalf("build plugin %s: %v", pkg, err)
	}
	return dir
}

// scratch is a directory that other users can pass, unlike that of t.TempDir.
func scratch(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rkt-plugin-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("make a directory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func build(base, pkg string, programs map[string]string) (string, error) {
	binary := filepath.Join(base, "plugin")
	if err := compile(binary, pkg); err != nil {
		return "", err
	}
	text, err := exec.Command(binary, "manifest").Output()
	if err != nil {
		return "", fmt.Errorf("ask it for its manifest: %w", err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return "", fmt.Errorf("read its manifest: %w", err)
	}
	dir := filepath.Join(base, m.Name)
	err = os.Mkdir(dir, 0o755)
	if err == nil {
		err = exec.Command(binary, "manifest", dir).Run() // with the schema of its configuration, if it has one
	}
	if err == nil {
		err = os.Rename(binary, filepath.Join(dir, m.Exec))
	}
	for name, pkg := range programs {
		if err == nil {
			err = compile(filepath.Join(dir, name), pkg)
		}
	}
	return dir, err
}

func compile(out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return depend(pkg)
}

// depend looks at every source of pkg, so that the go command does not take a test's former result for good when one of
// them has changed: it knows what the test itself has opened, and not what a build has read.
func depend(pkg string) error {
	const files = `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}"+files+"{{end}}", pkg).Output()
	if err != nil {
		return fmt.Errorf("list the sources of %s: %w", pkg, err)
	}
	for name := range strings.Lines(string(out)) {
		if _, err := os.Stat(strings.TrimSuffix(name, "\n")); err != nil && strings.TrimSpace(name) != "" {
			return fmt.Errorf("list the sources of %s: %w", pkg, err)
		}
	}
	return nil
}
