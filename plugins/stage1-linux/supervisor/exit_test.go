package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestExitStatus(t *testing.T) {
	layer := busybox(t)
	for _, tc := range []struct {
		name, script string
		code         int
		signal       string
	}{
		{"true", "true", 0, ""},
		{"false", "false", 1, ""},
		{"status", "exit 42", 42, ""},
		{"signal", "kill -9 $$", 137, "SIGKILL"},
		{"orphan", "sleep 1000 & exit 3", 3, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPod(t, app("a", layer, tc.script)).start()
			if code := p.wait(); code != tc.code {
				t.Errorf("exit status %d, want %d; stderr: %s", code, tc.code, p.stderr.String())
			}
			if e := p.exit(); e.Code != tc.code || e.Stopped || (e.App == "a") != (tc.code != 0) {
				t.Errorf("exit file %s", dump(e))
			}
			if s := p.status("a"); s.State != poddir.AppExited || s.Code != tc.code || s.Signal != tc.signal || s.Started.IsZero() || s.Finished.Before(s.Started) {
				t.Errorf("status %s", dump(s))
			}
		})
	}
}

// The pod stops when one app fails, and its status is that app's; else it lives until the last one ends.
func TestSeveralApps(t *testing.T) {
	layer := busybox(t)
	t.Run("first failing", func(t *testing.T) {
		p := newPod(t, app("one", layer, "sleep 1000"), app("two", layer, "exit 5"), app("three", layer, "trap 'exit 0' TERM; sleep 1000 & wait")).start()
		if code := p.wait(); code != 5 {
			t.Errorf("exit status %d, want 5; stderr: %s", code, p.stderr.String())
		}
		if e := p.exit(); e.App != "two" || e.Stopped {
			t.Errorf("exit file %s", dump(e))
		}
		if s := p.status("one"); s.Signal != "SIGTERM" {
			t.Errorf("status of one %s", dump(s))
		}
	})
	t.Run("all succeed", func(t *testing.T) {
		out := output(t, app("one", layer, "echo one"), app("two", layer, "sleep 0.2; echo two"))
		if !strings.Contains(out, "one\n") || !strings.Contains(out, "two\n") {
			t.Errorf("output %q", out)
		}
	})
	t.Run("shared namespaces", func(t *testing.T) {
		// /dev/shm and the pid namespace are the pod's; roots are not.
		out := output(t,
			app("one", layer, "echo x > /dev/shm/go; echo own > /tmp/f; sleep 0.3"),
			app("two", layer, "while ! [ -e /dev/shm/go ]; do sleep 0.01; done; [ -e /tmp/f ] || echo apart; ps | grep -c 'echo own'"))
		if !strings.Contains(out, "apart\n") {
			t.Errorf("output %q", out)
		}
	})
}

func TestExecFailures(t *testing.T) {
	layer := busybox(t)
	write(t, layer, "bin/noexec", "x", 0o644)
	write(t, layer, "bin/nointerp", "#!/usr/bin/python3\n", 0o755)
	write(t, layer, "bin/dos", "#!/bin/sh\r\ntrue\n", 0o755)
	write(t, layer, "bin/text", "hello", 0o755)
	write(t, layer, "bin/empty", "", 0o755)
	write(t, layer, "bin/foreign", elf(t, 243, ""), 0o755)
	write(t, layer, "bin/dynamic", elf(t, 0, "/lib64/ld-missing.so.2"), 0o755)
	for _, tc := range []struct {
		name string
		argv []string
		code int
		text string
	}{
		{"missing", []string{"/bin/nope"}, 127, `no file "/bin/nope"`},
		{"not in PATH", []string{"nope"}, 127, "not in the image's PATH (/bin)"},
		{"relative", []string{"bin/nope"}, 127, `no file "/bin/nope"`},
		{"no permission", []string{"/bin/noexec"}, 126, "no execute permission"},
		{"directory", []string{"/bin"}, 126, "is a directory"},
		{"interpreter", []string{"/bin/nointerp"}, 127, `interpreter "/usr/bin/python3"`},
		{"DOS line ends", []string{"/bin/dos"}, 127, "DOS line ends"},
		{"text", []string{"/bin/text"}, 126, "neither an ELF program nor a script"},
		{"empty", []string{"/bin/empty"}, 126, "is empty"},
		{"other machine", []string{"/bin/foreign"}, 126, "built for riscv64"},
		{"loader", []string{"/bin/dynamic"}, 127, `loader "/lib64/ld-missing.so.2"`},
		{"nothing", []string{""}, 127, "no command is given"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := app("a", layer, "")
			a.Argv = tc.argv
			p := newPod(t, a).start()
			if code := p.wait(); code != tc.code {
				t.Errorf("exit status %d, want %d", code, tc.code)
			}
			if s := p.status("a"); s.Code != tc.code || !strings.Contains(s.Reason, tc.text) {
				t.Errorf("status %s, want a reason with %q", dump(s), tc.text)
			}
			if !strings.Contains(p.stderr.String(), tc.text) {
				t.Errorf("stderr %q", p.stderr.String())
			}
		})
	}
}

// elf is busybox with another machine or a loader of its own.
func elf(t *testing.T, machine byte, loader string) string {
	t.Helper()
	b, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if machine != 0 {
		b[18] = machine
	}
	if loader != "" {
		// One program header, PT_INTERP, in a file that is nothing else.
		h := append([]byte(nil), b[:64]...)
		h[16] = 2            // ET_EXEC
		h[32], h[33] = 64, 0 // program headers at 64
		h[54], h[56], h[57] = 56, 1, 0
		ph := make([]byte, 56)
		ph[0] = 3
		ph[8] = 120
		ph[32], ph[40] = byte(len(loader)+1), byte(len(loader)+1)
		b = append(append(h, ph...), loader+"\x00"...)
	}
	return string(b)
}

func TestMissingVolumeRunsNothing(t *testing.T) {
	layer := busybox(t)
	one, two := app("one", layer, "echo ran"), app("two", layer, "echo ran")
	two.Mounts = []poddir.Mount{{Volume: "data", Target: "/data"}}
	p := newPod(t, one, two)
	missing := filepath.Join(t.TempDir(), "missing")
	p.pod.Volumes = []poddir.Volume{{Name: "data", Kind: poddir.VolumeHost, Source: missing}}
	if code := p.start().wait(); code != 254 {
		t.Errorf("exit status %d, want 254", code)
	}
	if p.stdout.Len() > 0 || !strings.Contains(p.stderr.String(), missing) || !strings.Contains(p.stderr.String(), "does not exist") {
		t.Errorf("stdout %q, stderr %q", p.stdout.String(), p.stderr.String())
	}
}

func TestHandlers(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "echo main $(id -u); exit 4")
	a.User = "app"
	a.Handlers = []poddir.EventHandler{
		{Name: "pre-start", Exec: []string{"sh", "-c", "echo before $(id -u)"}},
		{Name: "post-stop", Exec: []string{"sh", "-c", "echo after $(id -u)"}},
	}
	p := newPod(t, a).start()
	if code := p.wait(); code != 4 {
		t.Errorf("exit status %d, want 4; stderr %s", code, p.stderr.String())
	}
	if got := p.stdout.String(); got != "before 0\nmain 1000\nafter 0\n" {
		t.Errorf("output %q", got)
	}
	a.Handlers[0].Exec = []string{"sh", "-c", "exit 7"}
	p = newPod(t, a).start()
	if code := p.wait(); code != 7 || !strings.Contains(p.stderr.String(), "pre-start") || p.stdout.Len() > 0 {
		t.Errorf("exit status %d, want 7; stdout %q, stderr %q", code, p.stdout.String(), p.stderr.String())
	}
}
