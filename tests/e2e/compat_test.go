package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// What TestCompat is told by its environment.
const envOld = "RKT_TEST_OLD" // commits to compare with, instead of testdata/recorded/states; "none" for none

// TestCompat runs the scripts of testdata/compat with the binaries of earlier states of the repository, each built from
// its commit. A clone without the history has no commits to build; it says so, and TestRecorded runs all the same.
func TestCompat(t *testing.T) {
	before := snapshot(t)
	for _, commit := range states(t) {
		t.Run(commit, func(t *testing.T) {
			dist := buildOld(t, commit)
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/compat",
				RequireExplicitExec: true,
				WorkdirRoot:         workRoot(t, commit),
				Setup: func(env *testscript.Env) error {
					port, err := freePort()
					if err != nil {
						return err
					}
					env.Setenv("PORT", port)
					env.Setenv("OLD", dist)
					return errors.Join(setup(env), configureFlavor("qemu", filepath.Join(env.WorkDir, "etc")))
				},
				Cmds: commands(),
				Condition: func(cond string) (bool, error) {
					if cond != "vm" {
						return false, fmt.Errorf("unknown condition %q", cond)
					}
					_, err := os.Stat(filepath.Join(dist, "lib/rkt/plugins/stage1-qemu"))
					return err == nil && os.Getenv(envKernel) != "" && os.Getenv(envFlavors) != "linux", nil
				},
			})
		})
	}
	before.compare(t)
}

// states are the commits whose pods are recorded.
func states(t *testing.T) []string {
	t.Helper()
	if s, ok := os.LookupEnv(envOld); ok {
		return strings.Fields(strings.ReplaceAll(s, "none", ""))
	}
	f, err := os.Open("testdata/recorded/states")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if commit, _, _ := strings.Cut(s.Text(), " "); commit != "" && commit != "#" {
			out = append(out, commit)
		}
	}
	return out
}

// oldPlugins are those that pods and images of TestCompat need, as far as a state has them.
const oldPlugins = "fetcher-docker fetcher-aci verifier-openpgp network-cni stage1-linux stage1-qemu"

// buildOld builds a commit, once, below .cache, and returns its dist.
func buildOld(t *testing.T, commit string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool("git", "-C", root, "rev-parse", "--quiet", "--verify", commit+"^{commit}"); err != nil {
		t.Skipf("commit %s is not in this clone (git fetch --unshallow brings it): its binaries are not tested", commit)
	}
	cache := filepath.Join(root, ".cache", "old", commit)
	dist := filepath.Join(cache, "dist")
	if _, err := os.Stat(dist); err == nil {
		return dist
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	build := fmt.Sprintf(`set -e; rm -rf src dist.tmp; mkdir src; git -C %s archive %s | tar -x -C src
cd src/plugins; plugins=$(ls -d %s 2>/dev/null || true); cd ../..
make -s -C src rkt plugins DIST=../dist.tmp PLUGINS="$(echo $plugins)" >make.log 2>&1 || { tail -n 20 make.log; exit 1; }
rm -rf src; mv dist.tmp dist`, root, commit, oldPlugins)
	if _, err := tool("sh", "-c", "cd "+cache+" && "+build); err != nil {
		t.Fatalf("build %s: %v", commit, err)
	}
	return dist
}

// TestRecorded has today's rkt read, refuse and remove the data directories that earlier states have left behind.
func TestRecorded(t *testing.T) {
	before := snapshot(t)
	recorded, err := filepath.Glob("testdata/recorded/*.tar.gz")
	if err != nil || len(recorded) == 0 {
		t.Fatalf("nothing is recorded (%v)", err)
	}
	for _, file := range recorded {
		name := strings.TrimSuffix(filepath.Base(file), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			file, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/recorded",
				RequireExplicitExec: true,
				WorkdirRoot:         workRoot(t, name),
				Setup: func(env *testscript.Env) error {
					env.Setenv("RECORDED", file)
					return setup(env)
				},
				Cmds: commands(),
			})
		})
	}
	before.compare(t)
}
