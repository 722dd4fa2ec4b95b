package kvm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the host is, the probe ends, and what it says is for people.
func TestProbe(t *testing.T) {
	if _, err := os.Stat(Device); err != nil {
		t.Skip(err)
	}
	err := Probe()
	t.Logf("probe: %v", err)
	var u *Unusable
	if err != nil && (!errors.As(err, &u) || u.Remedy == "") {
		t.Errorf("%v (%T) has no remedy", err, err)
	}
	flags, _ := os.ReadFile("/proc/cpuinfo")
	if err == nil && !strings.Contains(string(flags), " svm ") && !strings.Contains(string(flags), " vmx ") && strings.Contains(string(flags), "x86") {
		t.Log("a processor without svm and vmx ran a guest")
	}
}

func TestProbeWithout(t *testing.T) {
	dir := t.TempDir()
	var u *Unusable
	if err := probe(filepath.Join(dir, "kvm")); !errors.As(err, &u) || !strings.Contains(u.Remedy, "modprobe") {
		t.Errorf("no device: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := probe(file); !errors.As(err, &u) {
		t.Errorf("a plain file: %v", err)
	}
}
