package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// fields parses /proc/self/status and other "key: value" text.
func fields(s string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(s) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m
}

func TestPrivileges(t *testing.T) {
	layer := busybox(t)
	const (
		none  = "0000000000000000"
		bound = "00000000a80425fb" // the 14 of core's default set
	)
	for _, tc := range []struct {
		name   string
		change func(a *poddir.App)
		want   map[string]string
	}{
		{"root", func(*poddir.App) {}, map[string]string{
			"CapBnd": bound, "CapPrm": bound, "CapEff": bound, "CapInh": none, "CapAmb": none,
			"NoNewPrivs": "1", "Seccomp": "2", "Uid": "0\t0\t0\t0", "Groups": "10", "Umask": "0022",
			"SigBlk": none, "SigIgn": none, "SigCgt": none}},
		{"user", func(a *poddir.App) { a.User = "app" }, map[string]string{
			"CapBnd": bound, "CapPrm": none, "CapEff": none, "CapInh": none, "CapAmb": none,
			"NoNewPrivs": "1", "Seccomp": "2", "Uid": "1000\t1000\t1000\t1000", "Gid": "1000\t1000\t1000\t1000", "Groups": "10 29"}},
		{"user without no_new_privs", func(a *poddir.App) { a.User, a.NoNewPrivileges = "app", false }, map[string]string{
			"CapBnd": bound, "CapPrm": none, "CapEff": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "0", "Seccomp": "2"}},
		{"root without no_new_privs", func(a *poddir.App) { a.NoNewPrivileges = false }, map[string]string{
			"CapBnd": bound, "CapPrm": bound, "CapEff": bound, "CapInh": none, "CapAmb": none, "NoNewPrivs": "0", "Seccomp": "2"}},
		{"unconfined", func(a *poddir.App) { a.Seccomp.Mode = poddir.SeccompUnconfined }, map[string]string{"Seccomp": "0"}},
		{"no capabilities", func(a *poddir.App) { a.Capabilities = nil }, map[string]string{"CapBnd": none, "CapEff": none, "CapPrm": none}},
		{"uid:gid", func(a *poddir.App) { a.User = "1234:5678" }, map[string]string{"Uid": "1234\t1234\t1234\t1234", "Gid": "5678\t5678\t5678\t5678", "Groups": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := app("a", layer, "")
			a.Argv = []string{"cat", "/proc/self/status"}
			tc.change(&a)
			got := fields(output(t, a))
			for k, v := range tc.want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
		})
	}
}

func TestUserErrors(t *testing.T) {
	layer := busybox(t)
	for _, tc := range []struct{ user, group, text string }{
		{"nobodyknows", "", `user "nobodyknows" is neither a number nor in the image's /etc/passwd`},
		{"0", "nogroup", `group "nogroup" is neither`},
		{"4294967295", "", "is neither a number"},
		{"/missing", "", `user "/missing"`},
	} {
		a := app("a", layer, "echo ran")
		a.User, a.Group = tc.user, tc.group
		p := newPod(t, a).start()
		if code := p.wait(); code != 126 || !strings.Contains(p.stderr.String(), tc.text) || p.stdout.Len() > 0 {
			t.Errorf("user %q: exit status %d, stderr %q", tc.user, code, p.stderr.String())
		}
	}
	// passwd that is a fifo would block, a symlink would lead to the host's.
	for name, make := range map[string]func(path string) error{
		"fifo":   func(path string) error { return unix.Mkfifo(path, 0o644) },
		"device": func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) },
		"large":  func(path string) error { return os.WriteFile(path, slices.Repeat([]byte("x"), 2<<20), 0o644) },
	} {
		upper := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(upper+"/etc", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := make(upper + "/etc/passwd"); err != nil {
			t.Fatal(err)
		}
		a := app("a", layer, "echo ran")
		a.User, a.Rootfs.Layers = "app", append(a.Rootfs.Layers, upper)
		p := newPod(t, a).start()
		if code := p.wait(); code != 126 || !strings.Contains(p.stderr.String(), "/etc/passwd") {
			t.Errorf("%s: exit status %d, stderr %q", name, code, p.stderr.String())
		}
	}
}

func TestEnvironment(t *testing.T) {
	layer := busybox(t)
	a := app("web", layer, "")
	a.Argv, a.User, a.Dir = []string{"sh", "-c", "env; echo pwd:$(pwd)"}, "app", "/srv/new"
	a.Env = []string{"PATH=/bin", "FOO=bar=baz"}
	p := newPod(t, a)
	p.env = []string{"NOTIFY_SOCKET=/nowhere/socket"}
	if code := p.start().wait(); code != 0 {
		t.Fatalf("exit status %d: %s", code, p.stderr.String())
	}
	lines := strings.Fields(p.stdout.String())
	want := []string{"AC_APP_NAME=web", "FOO=bar=baz", "HOME=/home/app", "LOGNAME=app", "PATH=/bin", "PWD=/srv/new", "SHELL=/bin/ash", "USER=app", "container=rkt", "pwd:/srv/new"}
	slices.Sort(lines)
	lines = slices.DeleteFunc(lines, func(s string) bool { return strings.HasPrefix(s, "SHLVL=") })
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("environment %q, want %q", lines, want)
	}
}

func TestDescriptors(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "")
	a.Argv = []string{"ls", "/proc/self/fd"}
	// ls itself has the directory open.
	if got := strings.Fields(output(t, a)); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("descriptors %q", got)
	}
	// A working directory that is one of ours leads nowhere.
	for fd := range 20 {
		a.Argv, a.Dir = []string{"pwd"}, filepath.Join("/proc/self/fd", string(rune('0'+fd%10)))
		p := newPod(t, a).start()
		if code := p.wait(); code == 0 {
			t.Errorf("working directory %s: %q", a.Dir, p.stdout.String())
		}
	}
}

func TestOpenFilesLimit(t *testing.T) {
	layer := busybox(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 777, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if got := output(t, app("a", layer, "ulimit -Sn")); got != "777\n" {
		t.Errorf("soft limit %q", got)
	}
}

func TestNamespaces(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "for n in mnt pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done; hostname; echo pid $$")
	out := output(t, a)
	for _, n := range []string{"mnt", "pid", "ipc", "uts", "cgroup"} {
		own, err := os.Readlink("/proc/self/ns/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, own) {
			t.Errorf("app shares %s with the host", own)
		}
	}
	own, _ := os.Readlink("/proc/self/ns/net")
	if !strings.Contains(out, own) {
		t.Errorf("app with host networking is not in %s: %s", own, out)
	}
	if !strings.Contains(out, "rkt-test\n") || strings.Contains(out, "pid 1\n") {
		t.Errorf("output %q", out)
	}
}

func TestNoWayOut(t *testing.T) {
	layer := busybox(t)
	for name, script := range map[string]string{
		"mount":           "mount -t tmpfs none /tmp",
		"umount a mask":   "umount /proc/kcore",
		"remount proc":    "mount -o remount,rw /proc/sys",
		"write proc sys":  "echo x > /proc/sys/kernel/core_pattern",
		"sysrq":           "echo h > /proc/sysrq-trigger",
		"write sys":       "mkdir /sys/fs/cgroup/x",
		"kcore":           "[ -s /proc/kcore ] || dd if=/proc/kcore bs=1 count=1 of=/tmp/x 2>/dev/null && [ -s /tmp/x ]",
		"timer list":      "grep -q . /proc/timer_list",
		"keys":            "grep -q . /proc/keys",
		"firmware":        "ls /sys/firmware | grep -q .",
		"disk":            "mknod /tmp/disk b 8 0 && dd if=/tmp/disk of=/dev/null bs=1 count=1 2>/dev/null",
		"PID 1's program": "echo x >> /proc/1/exe",
		"PID 1's memory":  "cat /proc/1/mem",
		"PID 1's root":    "ls /proc/1/root/",
		"PID 1's files":   "readlink /proc/1/fd/0 || readlink /proc/1/fd/3",
		"PID 1's environ": "grep -q . /proc/1/environ",
		"kill PID 1":      "kill -9 1; sleep 0.1; false",
		"hostname":        "hostname evil",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, app("a", layer, script)).start()
			if code := p.wait(); code == 0 || code == 254 || code == 137 {
				t.Errorf("exit status %d; stdout %q stderr %q", code, p.stdout.String(), p.stderr.String())
			}
		})
	}
}

func TestDev(t *testing.T) {
	layer := busybox(t)
	out := output(t, app("a", layer, `ls /dev; echo --; echo x > /dev/null && head -c 3 /dev/zero | wc -c; cat /dev/mqueue/* 2>/dev/null; for l in ptmx fd stdin; do readlink /dev/$l; done; stat -c %a /dev/shm; touch /dev/shm/ok && echo shm; [ -c /dev/pts/ptmx ] && echo pts; readlink /etc/mtab`))
	names, rest, _ := strings.Cut(out, "--\n")
	want := strings.Fields("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero")
	if got := strings.Fields(names); !slices.Equal(got, want) {
		t.Errorf("/dev has %q, want %q", got, want)
	}
	if want := "3\npts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n1777\nshm\npts\n../proc/self/mounts\n"; rest != want {
		t.Errorf("output %q, want %q", rest, want)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "! touch /tmp/x 2>/dev/null && touch /data/x && touch /dev/shm/x")
	a.ReadOnlyRoot = true
	a.Mounts = []poddir.Mount{{Volume: "v", Target: "/data"}}
	p := newPod(t, a)
	p.pod.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeEmpty}}
	if code := p.start().wait(); code != 0 {
		t.Errorf("exit status %d: %s", code, p.stderr.String())
	}
}

func TestUnprotectedPaths(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "grep -c . /proc/timer_list >/dev/null && grep ' /proc/sys ' /proc/self/mounts")
	a.UnprotectedPaths = true
	p := newPod(t, a).start()
	if code := p.wait(); code != 1 || p.stdout.Len() > 0 { // grep finds no such mount
		t.Errorf("exit status %d: %q %q", code, p.stdout.String(), p.stderr.String())
	}
}

func TestIdentityFiles(t *testing.T) {
	layer := busybox(t)
	if err := os.Symlink("../run/resolv/stub.conf", filepath.Join(layer, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	a := app("a", layer, "cat /etc/resolv.conf /etc/hosts /etc/hostname")
	p := newPod(t, a)
	want := map[string]string{"resolv.conf": "nameserver 192.0.2.1\n", "hosts": "127.0.0.1 localhost\n", "hostname": "rkt-test\n"}
	for name, content := range maps.All(want) {
		write(t, p.dir, "etc/"+name, content, 0o644)
	}
	if code := p.start().wait(); code != 0 {
		t.Fatalf("exit status %d: %s", code, p.stderr.String())
	}
	if got := p.stdout.String(); got != want["resolv.conf"]+want["hosts"]+want["hostname"] {
		t.Errorf("output %q", got)
	}
	// The image is untouched.
	if _, err := os.Lstat(filepath.Join(layer, "run")); err == nil {
		t.Error("the layer has a new directory")
	}
}
