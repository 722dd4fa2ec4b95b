package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rkt/rkt/v2/tests/registry"
)

// suite is what all scripts share.
type suite struct {
	bin      string // directory of the built rkt
	registry string // host:port
	layout   string // OCI layout with the tags that fixtures_test.go makes
	programs string // plugins for tests
	work     string
}

var shared suite

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Println("e2e: skipped: pods are made by root")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if dir := os.Getenv("RKT_TEST_BUILD_FIXTURES"); dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return 0, err
		}
		return 0, errors.Join(os.RemoveAll(dir), buildFixtures(dir))
	}
	dist := os.Getenv("RKT_DIST")
	if dist == "" {
		dist = "../../dist"
	}
	dist, err := filepath.Abs(dist)
	if err != nil {
		return 0, err
	}
	shared.bin = filepath.Join(dist, "bin")
	if _, err := os.Stat(filepath.Join(shared.bin, "rkt")); err != nil {
		return 0, fmt.Errorf("no built rkt: run make first (%w)", err)
	}
	// Not below a directory that everybody can write to: plugins and all their parents must be root's alone.
	if shared.work, err = os.MkdirTemp("/var/lib", "rkt-e2e-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(shared.work)
	if err := os.Chmod(shared.work, 0o755); err != nil {
		return 0, err
	}
	var stop func()
	shared.registry, stop, err = registry.StartDocker(shared.work)
	if err != nil {
		return 0, err
	}
	defer stop()
	if err := makeFixtures(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// tool runs a program of the host and returns its output.
func tool(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}
