package service

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// vmm has traits and nothing else.
type vmm struct {
	vmhost.VMM
	traits vmhost.Traits
}

func (v vmm) Traits() vmhost.Traits { return v.traits }

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	sock, fifo := filepath.Join(dir, "sock"), filepath.Join(dir, "fifo")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source string
		want   string // a part of the remark; empty: accepted
	}{
		{dir, ""},
		{filepath.Join(dir, "nothing"), ""}, // core says it better
		{sock, "a socket of the host's kernel"},
		{fifo, "a named pipe"},
		{"/dev/null", "a character device"},
		{"/proc/self", "shows the host's kernel"},
	} {
		pod := &poddir.Pod{
			Schema: poddir.Schema,
			Apps:   []poddir.App{{Name: "a", Argv: []string{"/bin/true"}}},
			Volumes: []poddir.Volume{
				{Name: "e", Kind: poddir.VolumeEmpty, Mode: 0o755},
				{Name: "v", Kind: poddir.VolumeHost, Source: c.source},
			},
		}
		podDir := t.TempDir()
		if err := poddir.WriteJSON(podDir, poddir.PodFile, pod); err != nil {
			t.Fatal(err)
		}
		ds, err := New("test", vmm{}, "supervisor", "").Validate(t.Context(), podDir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range ds {
			if strings.HasPrefix(d.Field, "volumes[1].") {
				got = append(got, d.Summary)
			}
		}
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %q", c.source, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.Contains(got[0], c.source)):
			t.Errorf("%s: %q, want %q", c.source, got, c.want)
		}
	}
}

// TestAccel: emulation is never taken unasked, and refused where the VMM has none.
func TestAccel(t *testing.T) {
	both := vmm{traits: vmhost.Traits{Accels: []string{vmhost.KVM, vmhost.TCG}}}
	only := vmm{traits: vmhost.Traits{Accels: []string{vmhost.KVM}}}
	for _, c := range []struct {
		vmm    vmm
		accel  string
		want   string // where KVM does not work
		remark string
	}{
		{both, vmhost.TCG, vmhost.TCG, ""},
		{only, vmhost.TCG, "", "it needs KVM"},
		{both, vmhost.Auto, vmhost.TCG, ""},
		{only, vmhost.Auto, "", "KVM does not work"},
		{both, vmhost.KVM, "", `{"accel":"tcg"}`},
		{only, vmhost.KVM, "", "KVM does not work"},
	} {
		s := New("test", c.vmm, "supervisor", "")
		s.config.Accel = c.accel
		got, err := s.accel()
		if err == nil && got == vmhost.KVM && c.accel != vmhost.TCG {
			continue // this host has it
		}
		if got != c.want || (err == nil) != (c.remark == "") || err != nil && !strings.Contains(err.Error(), c.remark) {
			t.Errorf("%s of %v: %q, %v; want %q, %q", c.accel, c.vmm.traits.Accels, got, err, c.want, c.remark)
		}
	}
}

// TestEtc takes what core has made, and nothing that is not a file.
func TestEtc(t *testing.T) {
	dir := t.TempDir()
	if got, err := etc(dir); err != nil || len(got) != 0 {
		t.Errorf("no directory: %v, %v", got, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, poddir.EtcDir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, poddir.EtcDir, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/shadow", filepath.Join(dir, poddir.EtcDir, "resolv.conf")); err != nil {
		t.Fatal(err)
	}
	got, err := etc(dir)
	if err != nil || len(got) != 1 || string(got["hosts"]) != "127.0.0.1 localhost\n" {
		t.Errorf("%q, %v", got, err)
	}
}
