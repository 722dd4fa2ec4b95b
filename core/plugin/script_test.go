package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scripted installs a plugin that is a script, with an interpreter that plays a good plugin whatever it is given.
func scripted(t *testing.T, dir string, line func(interp string) string) (e *Entry, interp string) {
	t.Helper()
	e = install(t, dir, "x")
	usr := filepath.Join(dir, "usr")
	if err := os.MkdirAll(usr, 0o755); err != nil {
		t.Fatal(err)
	}
	interp = filepath.Join(usr, "fake-good")
	copyFile(t, "/proc/self/exe", interp)
	if err := os.WriteFile(exe(e), []byte(line(interp)), 0o755); err != nil {
		t.Fatal(err)
	}
	return e, interp
}

func plain(interp string) string { return "#!" + interp + " -I and more \nbody\n" }

// TestScript: what runs is the interpreter that was checked, on the script that was checked.
func TestScript(t *testing.T) {
	for _, k := range []Kind{KindFetcher, KindConverter, KindVerifier} {
		t.Run(k.String(), func(t *testing.T) {
			dir := place(t)
			e, interp := scripted(t, dir, plain)
			o := options(dir, k)
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			o.FDs = []FD{{"source", null}}
			f := ask(t, start(t, e, o), "")
			if want := []string{interp, "-I and more", "/proc/self/fd/4"}; !slices.Equal(f.Args, want) {
				t.Errorf("argv %q, want %q", f.Args, want)
			}
			if !slices.Contains(f.FDs, "3 /dev/null") || !slices.Contains(f.FDs, "4 "+exe(e)) {
				t.Errorf("descriptors %q", f.FDs)
			}
		})
	}
}

// TestScriptLinks: /usr/bin/python3 is a link, and on many systems /bin is one too.
func TestScriptLinks(t *testing.T) {
	dir := place(t)
	e, _ := scripted(t, dir, func(string) string { return "#!" + dir + "/bin/fake-link\n" })
	for _, err := range []error{
		os.Symlink("usr", filepath.Join(dir, "bin")),
		os.Symlink(filepath.Join(dir, "usr/fake-good"), filepath.Join(dir, "usr/fake-other")),
		os.Symlink("../bin/fake-other", filepath.Join(dir, "usr/fake-link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// It plays by its name, which is the path in the script and not the one that it was found at.
	if err := os.WriteFile(exe(e), []byte("#!"+dir+"/bin/fake-good\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, e, options(dir, KindFetcher))
	if err := os.WriteFile(exe(e), []byte("#!"+dir+"/bin/fake-link\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := judge{euid: os.Geteuid()}.openInterpreter(dir + "/bin/fake-link")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// What was checked is what is executed, whatever is put in its place meanwhile.
func TestScriptReplaced(t *testing.T) {
	dir := place(t)
	e, interp := scripted(t, dir, plain)
	file, err := os.Open(exe(e))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	checked, err := os.Stat(interp)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := newProgram(file, e, KindFetcher, judge{euid: os.Geteuid()})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.file.Close()
	if err := errors.Join(os.Remove(interp), os.WriteFile(interp, []byte("evil"), 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd, number, err := prog.command(pipes{os.Stdin, os.Stdout, os.Stderr, nil, nil, nil}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(number)
	if is, err := os.Stat(cmd.Path); err != nil || !os.SameFile(is, checked) {
		t.Errorf("%s is another file than the one that was checked (%v)", cmd.Path, err)
	}
	if is, _ := cmd.ExtraFiles[0].Stat(); !os.SameFile(is, must(file.Stat())) {
		t.Error("the script is another file than the one that was read")
	}
}

func must(fi os.FileInfo, _ error) os.FileInfo { return fi }

func TestScriptRefused(t *testing.T) {
	do := func(t *testing.T, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		kind  Kind
		line  string // "" is plain; INTERP in it is the interpreter's path
		spoil func(t *testing.T, interp string)
		says  string
	}{
		{"stage1", KindStage1, "", nil, "a stage1 plugin cannot be a script"},
		{"network", KindNetwork, "", nil, "a network plugin cannot be a script"},
		{"env", KindFetcher, "#!/usr/bin/env python3\n", nil, "name the interpreter itself"},
		{"relative", KindFetcher, "#!python3\n", nil, "by an absolute path"},
		{"not clean", KindFetcher, "#!/usr/../bin/sh\n", nil, "by an absolute path"},
		{"nothing", KindFetcher, "#!\n", nil, "by an absolute path"},
		{"endless", KindFetcher, "#!/" + strings.Repeat("x", 300), nil, "no end within 256 bytes"},
		{"missing", KindFetcher, "#!INTERPx\n", nil, "no such file"},
		{"a directory", KindFetcher, "#!/usr\n", nil, "not a regular file"},
		{"below a file", KindFetcher, "#!INTERP/x\n", nil, "not a directory"},
		{"a script", KindFetcher, "", func(t *testing.T, interp string) {
			do(t, os.WriteFile(interp, []byte("#!/bin/sh\n"), 0o755))
		}, "its interpreter: no ELF binary: "},
		{"writable", KindFetcher, "", func(t *testing.T, interp string) { do(t, os.Chmod(interp, 0o775)) }, "chmod go-w"},
		{"setuid", KindFetcher, "", func(t *testing.T, interp string) { do(t, os.Chmod(interp, 0o755|os.ModeSetuid)) }, "setuid"},
		{"not executable", KindFetcher, "", func(t *testing.T, interp string) { do(t, os.Chmod(interp, 0o644)) }, "cannot be executed"},
		{"directory writable", KindFetcher, "", func(t *testing.T, interp string) { do(t, os.Chmod(filepath.Dir(interp), 0o777)) }, "chmod go-w"},
		{"a stranger's", KindFetcher, "", func(t *testing.T, interp string) { do(t, os.Chown(interp, 1234, 0)) }, "belongs to uid 1234"},
		{"a stranger's link", KindFetcher, "", func(t *testing.T, interp string) {
			do(t, os.Rename(interp, interp+"2"), os.Symlink(interp+"2", interp), os.Lchown(interp, 1234, 0))
		}, "is a link of uid 1234"},
		{"a link into a stranger's", KindFetcher, "", func(t *testing.T, interp string) {
			other := filepath.Join(filepath.Dir(interp), "other")
			do(t, os.Mkdir(other, 0o777), os.Chmod(other, 0o777), os.Rename(interp, other+"/x"), os.Symlink("other/x", interp))
		}, "chmod go-w"},
		{"a loop", KindFetcher, "", func(t *testing.T, interp string) {
			do(t, os.Remove(interp), os.Symlink(interp, interp))
		}, "too many links"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Geteuid() != 0 && strings.Contains(c.name, "stranger") {
				t.Skip("needs root")
			}
			dir := place(t)
			e, interp := scripted(t, dir, func(interp string) string {
				if c.line == "" {
					return plain(interp)
				}
				return strings.ReplaceAll(c.line, "INTERP", interp)
			})
			if c.spoil != nil {
				c.spoil(t, interp)
			}
			_, err := Launch(t.Context(), e, options(dir, c.kind))
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			nothingLeft(t, dir)
		})
	}
}
