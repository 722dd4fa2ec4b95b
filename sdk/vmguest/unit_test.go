package vmguest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

func TestParseCmdline(t *testing.T) {
	for s, want := range map[string]cmdline{
		"":                                  {channel: "port:rkt.ctl"},
		"console=ttyS0 quiet\n":             {channel: "port:rkt.ctl"},
		"rkt.ctl=vsock:77 rkt.off=reboot\n": {channel: "vsock:77", reboot: true},
		"rkt.ctl=tty:hvc0 rkt.off=poweroff": {channel: "tty:hvc0"},
		"xrkt.off=reboot rkt.off":           {channel: "port:rkt.ctl"},
	} {
		if got := parseCmdline(s); got != want {
			t.Errorf("%q: %+v", s, got)
		}
	}
}

func TestChannelNames(t *testing.T) {
	for _, s := range []string{"", "pipe:x", "vsock:", "vsock:-1", "vsock:99999999999", "tty:", "tty:../etc/passwd"} {
		if c, err := openChannel(s); err == nil {
			c.Close()
			t.Errorf("%q is a channel", s)
		}
	}
}

// sysfs makes files in a directory.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLookDisk(t *testing.T) {
	dir := sysfs(t, map[string]string{
		"vdaa/serial": "last\n", "vdb/serial": "12345678901234567890", "vda/serial": "", "vdz/size": "1", "sda/serial": "first", "loop0/size": "1",
	})
	for _, tc := range []struct {
		d    agent.Device
		want string
	}{
		{agent.Device{Serial: "last"}, "vdaa"},
		{agent.Device{Serial: "12345678901234567890"}, "vdb"},
		{agent.Device{Serial: "first"}, ""}, // no virtio disk
		{agent.Device{Serial: "las"}, ""},
		{agent.Device{Index: 0}, "vda"},
		{agent.Device{Index: 2}, "vdz"},
		{agent.Device{Index: 3}, "vdaa"},
		{agent.Device{Index: 4}, ""},
	} {
		if got, err := lookDisk(dir, tc.d); got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%+v: %q, %v", tc.d, got, err)
		}
	}
}

func TestFindPort(t *testing.T) {
	dir := sysfs(t, map[string]string{"vport0p1/name": "org.qemu.guest_agent.0\n", "vport1p1/name": "rkt.ctl\n", "vport1p2/other": ""})
	if got, err := findPort(dir, "rkt.ctl"); err != nil || got != "/dev/vport1p1" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := findPort(dir, "rkt"); err == nil {
		t.Error("found what is not there")
	}
}

func TestStoragePlan(t *testing.T) {
	tag := func(name string) *agent.Share { return &agent.Share{Kind: agent.NineP, Tag: name} }
	var s storage
	s.plan(&agent.PodSpec{Volumes: []agent.Volume{
		{Kind: agent.VolumeShare, Share: tag("a"), ReadOnly: true},
		{Kind: agent.VolumeShare, Share: tag("a")},
		{Kind: agent.VolumeShare, Share: tag("b"), ReadOnly: true},
		{Kind: agent.VolumeDisk, Disk: &agent.Disk{Device: agent.Device{Serial: "c"}}},
		{Kind: agent.VolumeEmpty},
	}})
	if len(s.writable) != 2 || !s.writable[source(nil, tag("a"))] || !s.writable[source(&agent.Disk{Device: agent.Device{Serial: "c"}}, nil)] {
		t.Errorf("%v", s.writable)
	}
}

func TestSysctlNames(t *testing.T) {
	for _, name := range []string{"../../tmp/x", "/tmp/x", "", "net/../../../tmp/x"} {
		if err := setSysctls(map[string]string{name: "1"}); err == nil || !strings.Contains(err.Error(), "not below") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestReap(t *testing.T) {
	var c children
	ended := make(chan unix.WaitStatus, 1)
	fork := func(arg string) func() (int, error) {
		return func() (int, error) {
			return syscall.ForkExec("/bin/sh", []string{"sh", "-c", arg}, &syscall.ProcAttr{})
		}
	}
	if err := c.start(fork("exit 3"), func(ws unix.WaitStatus) { ended <- ws }); err != nil {
		t.Fatal(err)
	}
	if pid, err := fork("exit 4")(); err != nil || pid == 0 { // an orphan: nobody's
		t.Fatal(err)
	}
	reaped := 0
	for end := time.Now().Add(time.Minute); reaped < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		for c.reap() {
			reaped++
		}
	}
	if ws := <-ended; ws.ExitStatus() != 3 || reaped != 2 || len(c.waiting) != 0 {
		t.Errorf("%v, %d reaped, %v", ws, reaped, c.waiting)
	}
}
