package qemu

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

var updating = flag.Bool("update", false, "write the golden files")

// machineOf is a machine with so many layers, and one of each other thing.
func machineOf(accel, kind string, layers int, full bool) *vmhost.Launch {
	m := &vmhost.Machine{
		UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Size: vmhost.Size{MemoryMiB: 384, CPUs: 2}, Accel: accel,
		Program: "/usr/bin/qemu-system-x86_64", Append: "panic=-1 quiet", Config: vmhost.Config{Machine: kind},
		Distro: kind == "auto",
	}
	l := &vmhost.Launch{Machine: m, Console: 3, Monitor: 4, Control: 5}
	for range layers {
		m.Disks = append(m.Disks, vmhost.Disk{Serial: "layer", ReadOnly: true})
		l.Disks = append(l.Disks, 6)
	}
	m.Disks = append(m.Disks, vmhost.Disk{Serial: "rw", Scratch: true})
	l.Disks = append(l.Disks, 7)
	if full {
		m.Disks = append(m.Disks, vmhost.Disk{Serial: "volume1", Device: true})
		l.Disks = append(l.Disks, 8)
		m.Shares, l.Shares = []vmhost.Share{{Kind: agent.Virtiofs, Tag: "volume0"}}, []int{9}
		m.Interfaces = make([]poddir.Interface, 2)
		if _, err := (VMM{}).Grows(m); err == nil {
			m.GrowMiB, m.Vsock, l.Vsock, l.CID, l.Port = 1024, true, 13, 70000, 4711
		}
		l.Taps = []vmhost.Tap{{FD: 10, MAC: "02:00:00:00:00:01", MTU: 1400}, {FD: 11, Vhost: 12, MAC: "02:00:00:00:00:02"}}
	}
	return l
}

func TestCommand(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden files are amd64's")
	}
	for name, l := range map[string]*vmhost.Launch{
		"tcg":         machineOf(vmhost.TCG, "", 1, false),
		"kvm-microvm": machineOf(vmhost.KVM, "microvm", 1, false),
		"kvm-full":    machineOf(vmhost.KVM, "q35", 9, true),
		"tcg-full":    machineOf(vmhost.TCG, "auto", 2, true),
		"tcg-microvm": machineOf(vmhost.TCG, "microvm", 1, false),
	} {
		c := VMM{}.Command(l)
		got := regexp.MustCompile(`(tsc_early_khz=)[1-9][0-9]{5,6} `).ReplaceAllString(strings.Join(c.Args, "\n")+"\n", "${1}N ")
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
		if kvm := len(c.Nodes) == 1; kvm != (l.Accel == vmhost.KVM) {
			t.Errorf("%s: devices %v", name, c.Nodes)
		}
	}
}

// No two devices have one place, and what is declared to fit has one.
func TestPlaces(t *testing.T) {
	l := machineOf(vmhost.TCG, "", 200, true)
	if err := (VMM{}).Fits(l.Machine); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range (VMM{}).Command(l).Args {
		_, at, ok := strings.Cut(a, ",addr=")
		if !ok {
			continue
		}
		at, _, _ = strings.Cut(at, ",")
		if seen[at] || strings.HasPrefix(at, "0x1f") {
			t.Errorf("place %s is taken", at)
		}
		seen[at] = true
	}
	if len(seen) != 2+202+1+2+1 {
		t.Errorf("%d places", len(seen))
	}
	if err := (VMM{}).Fits(machineOf(vmhost.TCG, "", 300, true).Machine); err == nil {
		t.Error("300 disks fit")
	}
	if err := (VMM{}).Fits(machineOf(vmhost.KVM, "isapc", 1, false).Machine); err == nil {
		t.Error("machine type isapc is taken")
	}
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]string{
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright": "7.2.22",
		"QEMU emulator version 10.0.2":                                              "10.0.2", "QEMU emulator version 6.2.0": "6.2.0",
		"QEMU emulator version 5.2.0": "", "QEMU": "", "version 99999999999999.1": "",
	} {
		if got, err := parseVersion(in); got != want || (err == nil) != (want != "") {
			t.Errorf("parseVersion(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}
