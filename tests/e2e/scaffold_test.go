package e2e

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
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
	nfpm := filepath.Join(shared.work, "nfpm") // of the version that the Makefile names
	if out, err := tool("go", "-C", checkout, "build", "-modfile=packaging/tools.mod", "-o", nfpm, "github.com/goreleaser/nfpm/v2/cmd/nfpm"); err != nil {
		t.Fatalf("%s", out)
	}
	cleaned := filepath.Join(shared.work, "scaffold-cleaned")
	for _, s := range []struct{ kind, word, example string }{
		{"stage1", "scaffolded", ""}, {"stage1", "wrapped", "stage1-pidns"}, {"fetcher", "scaffolded", ""}, {"verifier", "scaffolded", ""}, {"network", "scaffolded", ""},
	} {
		kind, name := s.kind, s.kind+"-"+s.word
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(shared.work, "begun-"+name)
			rkt(t, "plugin", "new", "--sdk="+checkout, "--output="+dir, "--example="+s.example, kind, name)
			if out, err := tool("gofmt", "-l", dir); err != nil || out != "" {
				t.Errorf("gofmt: %s %v", out, err)
			}
			if name == "stage1-scaffolded" {
				write(t, filepath.Join(dir, "clean.go"), fmt.Sprintf(cleaner, cleaned))
			}
			// test is the conformance kit with it.
			if out, err := tool("make", "-C", dir, "test", "install", "DESTDIR="+dist, "PREFIX="); err != nil {
				t.Fatalf("%s", out)
			}
			packages(t, dir, nfpm)
			if kind == "fetcher" { // of one is enough
				crossBuild(t, dir, name)
			}
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
		if out := rkt(t, "run", "--rm", "--stage1=wrapped", "--net=host", image, "--exec=/bin/ps"); !strings.Contains(out, "stage1-wrapped init") || strings.Contains(out, c.data) {
			t.Errorf("its own init is not there, or shows paths of the host: %s", out)
		}
		if _, err := os.Stat(cleaned); err != nil {
			t.Errorf("the pod has ended, and its stage1 was not asked to clean up: %v", err)
		}
	})
}

// cleaner makes the new stage1 one with something to clean.
const cleaner = `package main

import (
	"context"
	"os"
)

// Cleanup says that it was called.
func (flavor) Cleanup(_ context.Context, podDir string) error {
	return os.WriteFile(%q, []byte(podDir), 0o644)
}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// crossBuild builds for another machine, as a variable of the environment says and make hands on to all that it runs.
func crossBuild(t *testing.T, dir, name string) {
	t.Helper()
	arch, machine := "arm64", elf.EM_AARCH64
	if runtime.GOARCH == arch {
		arch, machine = "amd64", elf.EM_X86_64
	}
	if out, err := tool("env", "GOARCH="+arch, "make", "-C", dir, "OUT=other/"+name); err != nil {
		t.Fatalf("%s", out)
	}
	f, err := elf.Open(filepath.Join(dir, "other", name, "rkt-"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine {
		t.Errorf("built for %s, want %s", f.Machine, machine)
	}
	if _, err := os.Stat(filepath.Join(dir, "other", name, "plugin.json")); err != nil {
		t.Error(err)
	}
}

// packages builds the deb and the rpm by the module's own recipe, which first wants to know what only the vendor knows.
func packages(t *testing.T, dir, nfpm string) {
	t.Helper()
	pack := func() (string, error) { return tool("make", "-C", dir, "packages", "NFPM="+nfpm) }
	if out, err := pack(); err == nil || !strings.Contains(out, "fill in license and maintainer in nfpm.yaml first") || !strings.Contains(out, "write LICENSE first") {
		t.Errorf("packages without a licence: %v\n%s", err, out)
	}
	recipe := filepath.Join(dir, "nfpm.yaml")
	b, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	write(t, recipe, regexp.MustCompile(`(?m)^(license|maintainer): .*TODO.*$`).ReplaceAllString(string(b), "$1: MIT"))
	if out, err := pack(); err == nil || !strings.Contains(out, "write LICENSE first") {
		t.Errorf("packages without a copyright file: %v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "LICENSE"), "Do what you like.\n")
	if out, err := pack(); err != nil {
		t.Errorf("%s", out)
	}
	for _, suffix := range []string{"deb", "rpm"} {
		if found, _ := filepath.Glob(filepath.Join(dir, "dist", "*."+suffix)); len(found) != 1 {
			t.Errorf("%d packages of kind %s", len(found), suffix)
		}
	}
}
