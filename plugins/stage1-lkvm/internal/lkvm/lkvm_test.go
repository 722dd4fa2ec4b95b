package lkvm

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

var updating = flag.Bool("update", false, "write the golden files")

func launch(full bool) *vmhost.Launch {
	m := &vmhost.Machine{
		UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Size: vmhost.Size{MemoryMiB: 384, CPUs: 2}, Accel: vmhost.KVM,
		Program: "/usr/local/bin/lkvm", Append: "panic=-1 quiet",
		Disks: []vmhost.Disk{{ReadOnly: true}, {Scratch: true}},
	}
	l := &vmhost.Launch{Machine: m, Console: 3, CID: 70000, Port: 4711}
	if full {
		m.Shares = []vmhost.Share{{Kind: agent.NineP, Tag: "volume0"}, {Kind: agent.NineP, Tag: "volume2"}}
		l.Taps = []vmhost.Tap{{FD: 4, MAC: "02:00:00:00:00:01"}}
	}
	return l
}

func TestCommand(t *testing.T) {
	for name, l := range map[string]*vmhost.Launch{"plain": launch(false), "full": launch(true)} {
		c := VMM{}.Command(l)
		got := strings.Join(c.Args, "\n") + "\n"
		file := filepath.Join("testdata", name+".golden")
		if *updating {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the command line has changed (go test -update)\n%s", name, got)
		}
		if (c.Caps != 0) != (name == "full") {
			t.Errorf("%s: capabilities %x", name, c.Caps)
		}
	}
}

func TestFits(t *testing.T) {
	m := launch(false).Machine
	m.Disks = make([]vmhost.Disk, maxDisks)
	if err := (VMM{}).Fits(m); err != nil {
		t.Error(err)
	}
	m.Disks = make([]vmhost.Disk, maxDisks+1)
	if err := (VMM{}).Fits(m); err == nil || !strings.Contains(err.Error(), "5 disks") {
		t.Errorf("five disks: %v", err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "lkvm")
	c := &vmhost.Config{Program: program}
	if _, _, err := (VMM{}).Find(context.Background(), c); err == nil || !strings.Contains(err.Error(), "build it from") {
		t.Errorf("no lkvm: %v", err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho kvm tool 3.18.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, v, err := VMM{}.Find(context.Background(), c)
	if err != nil || v != "3.18.0" || p != program {
		t.Errorf("Find = %q, %q, %v", p, v, err)
	}
}
