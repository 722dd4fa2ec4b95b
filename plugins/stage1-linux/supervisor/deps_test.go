package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Every running pod holds two processes of this program, so what it links is counted.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	heavy := map[string]string{
		"google.golang.org":         "gRPC and protobuf: megabytes, and reflection at start",
		"github.com/hashicorp":      "go-plugin belongs to the gRPC half",
		"github.com/containerd":     "cgroups are made by the gRPC half",
		"github.com/opencontainers": "images are core's",
		"net":                       "resolver and dialer: the control socket needs neither",
		"crypto":                    "nothing is hashed here",
		"text/template":             "reflection",
		"os/exec":                   "processes are started by syscall.ForkExec and package spawn",
		"debug/elf":                 "brings compress and dwarf",
		"os/user":                   "looks users up on the host",
	}
	for pkg := range strings.Lines(string(out)) {
		pkg = strings.TrimSpace(pkg)
		for bad, why := range heavy {
			if pkg == bad || strings.HasPrefix(pkg, bad+"/") {
				t.Errorf("links %s: %s", pkg, why)
			}
		}
	}
}
