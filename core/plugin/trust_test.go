package plugin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
)

func TestTrust(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make what belongs to others")
	}
	for _, c := range []struct {
		name string
		do   func(dir string, e *Entry) error // dir is the parent of the plugin's directory
		says string                           // empty: trusted
	}{
		{"as installed", func(string, *Entry) error { return nil }, ""},
		{"binary writable by all", func(_ string, e *Entry) error { return os.Chmod(exe(e), 0o777) }, "can be written by others than its owner (owner uid 0, mode 0777)"},
		{"binary writable by group", func(_ string, e *Entry) error { return os.Chmod(exe(e), 0o775) }, "mode 0775"},
		{"binary of another user", func(_ string, e *Entry) error { return os.Chown(exe(e), 1234, 0) }, "belongs to uid 1234"},
		{"setuid", func(_ string, e *Entry) error { return os.Chmod(exe(e), fs.ModeSetuid|0o755) }, "setuid"},
		{"setgid", func(_ string, e *Entry) error { return os.Chmod(exe(e), fs.ModeSetgid|0o755) }, "setuid or setgid"},
		{"not executable", func(_ string, e *Entry) error { return os.Chmod(exe(e), 0o644) }, "chmod a+x"},
		{"missing", func(_ string, e *Entry) error { return os.Remove(exe(e)) }, "is missing"},
		{"symlink", func(_ string, e *Entry) error {
			return errors.Join(os.Rename(exe(e), e.Dir+"/real"), os.Symlink("real", exe(e)))
		}, "symbolic link"},
		{"fifo", func(_ string, e *Entry) error { return errors.Join(os.Remove(exe(e)), mkfifo(exe(e))) }, "not a regular file"},
		{"directory", func(_ string, e *Entry) error { return errors.Join(os.Remove(exe(e)), os.Mkdir(exe(e), 0o755)) }, "not a regular file"},
		{"manifest writable", func(_ string, e *Entry) error { return os.Chmod(filepath.Join(e.Dir, "plugin.json"), 0o666) }, "plugin.json can be written"},
		{"directory writable", func(_ string, e *Entry) error { return os.Chmod(e.Dir, 0o777) }, "mode 0777"},
		{"parent writable", func(dir string, _ *Entry) error { return os.Chmod(dir, 0o757) }, "mode 0757"},
		{"parent sticky", func(dir string, _ *Entry) error { return os.Chmod(dir, fs.ModeSticky|0o777) }, "mode 1777"},
		{"parent of another user", func(dir string, _ *Entry) error { return os.Chown(dir, 1234, 0) }, "belongs to uid 1234"},
		{"parent a symlink", func(dir string, _ *Entry) error {
			return errors.Join(os.Rename(dir, dir+"-real"), os.Symlink(dir+"-real", dir))
		}, "is a symbolic link to"},
		{"program writable", func(_ string, e *Entry) error {
			e.Manifest.Programs = []string{"helper"}
			return errors.Join(os.WriteFile(filepath.Join(e.Dir, "helper"), nil, 0o755), os.Chmod(filepath.Join(e.Dir, "helper"), 0o757))
		}, "helper can be written"},
		{"program missing", func(_ string, e *Entry) error { e.Manifest.Programs = []string{"helper"}; return nil }, "helper is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(place(t), "parent")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			e := install(t, dir, "good")
			if err := c.do(dir, e); err != nil {
				t.Fatal(err)
			}
			err := Check(e, 0, false)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var pe *Error
			if !errors.As(err, &pe) || pe.Reason != reason.PluginRefused || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if _, err := Launch(t.Context(), e, options(dir, KindStage1)); !errors.As(err, &pe) || pe.Reason != reason.PluginRefused {
				t.Errorf("launch: %v", err)
			}
			nothingLeft(t, dir)
		})
	}
}

func exe(e *Entry) string { return filepath.Join(e.Dir, e.Manifest.Exec) }

// The path may be exchanged after the check: what runs is what was checked.
func TestSwapAfterCheck(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "good")
	f, err := open(e, os.Geteuid(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Remove(exe(e)), os.WriteFile(exe(e), []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	c, err := confine(KindStage1, os.Geteuid(), os.Getegid())
	if err != nil {
		t.Fatal(err)
	}
	ch, err := spawn(f, e, &c, Options{Kind: KindStage1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-ch.exited // without a cookie the true binary exits with 64
	ch.close()
	if code := ch.state.ExitCode(); code != 64 {
		t.Errorf("exit status %d: another file was run", code)
	}
}

func TestOtherBinaries(t *testing.T) {
	for _, c := range []struct {
		name, content, says string
	}{
		{"text", "hello", "neither an ELF binary nor a script"},
		{"empty", "", "neither an ELF binary nor a script"},
		{"other machine", "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16\x00", "built for EM_S390"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := place(t)
			e := install(t, dir, "good")
			if err := os.WriteFile(exe(e), []byte(c.content), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Launch(t.Context(), e, options(dir, KindFetcher))
			for _, err := range []error{err, CheckProgram(e, os.Geteuid(), false)} {
				if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrNoProgram) || !strings.Contains(err.Error(), c.says) {
					t.Error(err)
				}
			}
			if err := Check(e, os.Geteuid(), false); err != nil {
				t.Error(err)
			}
			nothingLeft(t, dir)
		})
	}
}

// Of a stage1 it is not said that it may be a script, and of a copy the file is named that it was made of.
func TestNoProgramOfStage1(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "good")
	e.Origin = "/where/it/was"
	for _, c := range []struct{ content, says string }{
		{"hello", "execute /where/it/was/" + e.Manifest.Exec + ": no ELF binary, which a stage1 plugin must be"},
		{"#!/bin/sh\n", "a stage1 plugin cannot be a script"},
	} {
		if err := os.WriteFile(exe(e), []byte(c.content), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Launch(t.Context(), e, options(dir, KindStage1))
		if !errors.Is(err, ErrNoProgram) || !strings.Contains(err.Error(), c.says) {
			t.Error(err)
		}
	}
}

// What core reads of a plugin's directory is held to the same rule, be it never run.
func TestSchemaOfOthers(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "good")
	e.Manifest.ConfigSchema = "config.schema.json"
	if err := Check(e, os.Geteuid(), false); err != nil {
		t.Errorf("without the file: %v", err)
	}
	path := filepath.Join(e.Dir, e.Manifest.ConfigSchema)
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Check(e, os.Geteuid(), false); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Check(e, os.Geteuid(), false); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "chmod go-w "+path) {
		t.Error(err)
	}
}

func TestInsecure(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "good")
	if err := os.Chmod(e.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	o := options(dir, KindFetcher)
	o.Insecure = true
	start(t, e, o)
}

// A pin below a directory that others write to is trusted, because rkt's own directory is where it begins.
func TestOpenPinned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pins")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e := install(t, dir, "good")
	p, err := OpenPinned(dir, e.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(p, os.Geteuid(), false); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Check(p, os.Geteuid(), false); !errors.Is(err, ErrRefused) {
		t.Errorf("base writable by all: %v", err)
	}
	for _, d := range []string{"/etc", dir + "/../x", filepath.Dir(dir)} {
		if _, err := OpenPinned(dir, d); err == nil {
			t.Errorf("%s is below %s", d, dir)
		}
	}
}
