package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// host is what a test run must leave as it was.
type host map[string]bool

// snapshot lists the host's mounts, links, cgroups of rkt, firewall tables and processes named rkt* or as the machines that rkt starts.
func snapshot(t *testing.T) host {
	t.Helper()
	h := host{}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 4 {
			h["mount "+f[4]] = true
		}
	}
	if out, err := tool("ip", "-o", "link"); err == nil {
		for _, line := range strings.Split(out, "\n") {
			if f := strings.Fields(line); len(f) > 1 {
				name, _, _ := strings.Cut(f[1], "@")
				h["link "+name] = true
			}
		}
	}
	if out, err := tool("nft", "list", "tables"); err == nil {
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			h["nft "+line] = true
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "rkt") {
			h["cgroup "+path] = true
		}
		return nil
	})
	procs, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if comm := strings.TrimSpace(string(b)); err == nil && (strings.HasPrefix(comm, "rkt") || strings.HasPrefix(comm, "qemu-system") || comm == "lkvm" || comm == "virtiofsd") {
			h["process "+filepath.Base(filepath.Dir(p))+" "+comm] = true
		}
	}
	return h
}

// compare fails for everything that is there now and was not then.
func (h host) compare(t *testing.T) {
	t.Helper()
	// A pod has ended when its lock is free; its last process may be on its way out for some more milliseconds.
	var left []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left = nil
		for what := range snapshot(t) {
			if !h[what] {
				left = append(left, what)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, what := range left {
		t.Errorf("left behind: %s", what)
	}
}
