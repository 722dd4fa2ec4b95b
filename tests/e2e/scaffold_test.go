package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestScaffold begins a plugin of each kind as a vendor would, in a directory that has nothing to do with this
// repository, and builds, tests and installs it by its own Makefile. rkt finds it, trusts it, and it starts.
func TestScaffold(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go here: the guest has none")
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	c := newCrash(t, "scaffold", 0)
	dist := filepath.Join(shared.work, "scaffold-dist")
	if _, err := tool("cp", "-r", filepath.Dir(shared.bin), dist); err != nil {
		t.Fatal(err)
	}
	rkt := func(t *testing.T, args ...string) string {
		t.Helper()
		cmd := c.command(args...)
		cmd.Path = filepath.Join(dist, "bin", "rkt")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("rkt %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, kind := range []string{"stage1", "fetcher", "verifier", "network"} {
		t.Run(kind, func(t *testing.T) {
			name, dir := kind+"-scaffolded", filepath.Join(shared.work, "scaffold-"+kind)
			rkt(t, "plugin", "new", "--sdk="+checkout, "--output="+dir, kind, name)
			if out, err := tool("gofmt", "-l", dir); err != nil || out != "" {
				t.Errorf("gofmt: %s %v", out, err)
			}
			// test is level 1 of the conformance kit with it.
			if out, err := tool("make", "-C", dir, "test", "install", "DESTDIR="+dist, "PREFIX="); err != nil {
				t.Fatalf("%s", out)
			}
			packages(t, dir)
			var found struct {
				State    string
				Manifest struct{ Provides []struct{ Service string } }
			}
			if err := json.Unmarshal([]byte(rkt(t, "plugin", "inspect", "--format=json", name)), &found); err != nil {
				t.Fatal(err)
			}
			if found.State != "ok" || len(found.Manifest.Provides) != 1 || found.Manifest.Provides[0].Service != "rkt."+kind {
				t.Errorf("%+v", found)
			}
			if out := rkt(t, "plugin", "check", name); !strings.Contains(out, "starts and says what it is") {
				t.Errorf("%s", out)
			}
			cmd := c.command("plugin", "new", "--sdk="+checkout, "--output="+dir, kind, name)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "is not empty") {
				t.Errorf("begun twice: %v\n%s", err, out)
			}
		})
	}
	t.Run("runs", func(t *testing.T) {
		image := "docker://" + shared.registry + "/busybox:entry"
		rkt(t, "--insecure-options=http", "fetch", image)
		if out := rkt(t, "run", "--rm", "--stage1=scaffolded", "--net=host", image, "--exec=/bin/echo", "--", "by", "a", "new", "stage1"); !strings.Contains(out, "by a new stage1") {
			t.Errorf("%s", out)
		}
	})
}

// packages builds the deb and the rpm by the module's own recipe, where there is an nfpm.
func packages(t *testing.T, dir string) {
	t.Helper()
	if _, err := exec.LookPath("nfpm"); err != nil {
		return
	}
	if out, err := tool("make", "-C", dir, "packages"); err != nil {
		t.Errorf("%s", out)
	}
	for _, suffix := range []string{"deb", "rpm"} {
		if found, _ := filepath.Glob(filepath.Join(dir, "dist", "*."+suffix)); len(found) != 1 {
			t.Errorf("%d packages of kind %s", len(found), suffix)
		}
	}
}
