package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// Who may write to a plugin may do what rkt may. So every directory from / down, and every file of the plugin,
// must belong to root (or to the user, when rkt runs as one) and be writable by nobody else. A sticky directory
// such as /tmp counts as writable. Nothing is looked up twice: directories are opened one from another, without
// following any link, and the descriptor of the binary that was checked is the one that is executed.

// Check says whether the plugin may be run by euid, without running it. insecure is that of Files.
func Check(e *Entry, euid int, insecure bool) error {
	fs, err := Files(e, euid, insecure)
	if err != nil {
		return err
	}
	closeAll(fs...)
	return nil
}

// CheckProgram is Check, and says of the binary's first bytes whether they are those of a program.
func CheckProgram(e *Entry, euid int, insecure bool) error {
	fs, err := Files(e, euid, insecure)
	if err != nil {
		return err
	}
	defer closeAll(fs...)
	prog, err := newProgram(fs[1], e, e.kind(), judge{euid: euid, insecure: insecure})
	if err != nil {
		return refuse(e, "%w", err)
	}
	if prog.script != nil {
		prog.file.Close()
	}
	return nil
}

// Files opens what a plugin consists of, and checks it: first plugin.json, then exec, then the programs. The
// descriptors are of the very files that were checked. insecure (--insecure-options=plugin) forgives owners and
// write permissions, but nothing else.
func Files(e *Entry, euid int, insecure bool) ([]*os.File, error) {
	if e.Err != nil {
		return nil, refuse(e, "%s: %w", e.Dir, e.Err)
	}
	if e.Masked || e.Manifest == nil {
		return nil, refuse(e, "%s is a mask, not a plugin", e.Dir)
	}
	judge := judge{euid: euid, insecure: insecure}
	dir, err := judge.openDir(e.Dir, e.base)
	if err != nil {
		return nil, refuse(e, "%w", err)
	}
	defer dir.Close()
	var out []*os.File
	for _, name := range append([]string{manifest.FileName, e.Manifest.Exec}, e.Manifest.Programs...) {
		f, err := judge.openFile(dir, name, name != manifest.FileName)
		if err != nil {
			closeAll(out...)
			return nil, refuse(e, "%w", err)
		}
		out = append(out, f)
	}
	if err := judge.lookSchema(dir, e); err != nil {
		closeAll(out...)
		return nil, refuse(e, "%w", err)
	}
	if err := e.sameManifest(out[0]); err != nil {
		closeAll(out...)
		return nil, refuse(e, "%w", err)
	}
	return out, nil
}

// sameManifest insists that the plugin.json that was checked is the one that discovery read, by a path, before
// anything was checked: what it says decides which file is run.
func (e *Entry) sameManifest(f *os.File) error {
	if e.raw == nil {
		return nil
	}
	b := make([]byte, len(e.raw)+1)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(b[:n], e.raw) {
		return fmt.Errorf("%s is being replaced at this moment; try again", f.Name())
	}
	return nil
}

// open checks the plugin and returns its binary.
func open(e *Entry, euid int, insecure bool) (*os.File, error) {
	fs, err := Files(e, euid, insecure)
	if err != nil {
		return nil, err
	}
	closeAll(fs[0])
	closeAll(fs[2:]...)
	return fs[1], nil
}

// lookSchema judges the schema of the plugin's configuration, which is read and never run. That it is missing is said by
// who wants it: a copy has none.
func (j judge) lookSchema(dir *os.File, e *Entry) error {
	if e.Manifest.ConfigSchema == "" || e.Pinned() {
		return nil
	}
	f, err := j.openFile(dir, e.Manifest.ConfigSchema, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		f.Close()
	}
	return err
}

type judge struct {
	euid     int
	insecure bool
}

// openDir walks down from / to path. Directories above base, when it is given, are opened but not judged.
func (j judge) openDir(path, base string) (*os.File, error) {
	fd, err := linux.Openat2(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/", Err: err}
	}
	dir := os.NewFile(uintptr(fd), "/")
	at := "/"
	for rest := strings.TrimPrefix(filepath.Clean(path), "/"); ; {
		if base == "" || at == base || strings.HasPrefix(at, base+"/") {
			if err := j.look(dir, at); err != nil {
				dir.Close()
				return nil, err
			}
		}
		if rest == "" {
			return dir, nil
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = filepath.Join(at, name)
		fd, err := linux.Openat2(int(dir.Fd()), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0,
			unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_BENEATH)
		dir.Close()
		if err != nil {
			if err == unix.ENOTDIR || err == unix.ELOOP {
				if to, lerr := os.Readlink(at); lerr == nil {
					return nil, fmt.Errorf("%s is a symbolic link to %s; name the plugin by its real path", at, to)
				}
			}
			return nil, &os.PathError{Op: "open", Path: at, Err: err}
		}
		dir = os.NewFile(uintptr(fd), at)
	}
}

// openFile opens a file of the plugin for reading and judges it.
func (j judge) openFile(dir *os.File, name string, program bool) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := linux.Openat2(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0, linux.Beneath)
	switch {
	case err == unix.ELOOP:
		return nil, fmt.Errorf("%s is a symbolic link, which rkt does not follow in a plugin's directory", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, &absentError{path}
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := j.lookFile(f, path, program); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// absentError is about a file that plugin.json names.
type absentError struct{ path string }

func (e *absentError) Error() string {
	return fmt.Sprintf("%s is missing, though %s names it", e.path, manifest.FileName)
}

func (e *absentError) Unwrap() error { return fs.ErrNotExist }

func (j judge) lookFile(f *os.File, path string, program bool) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	switch mode := fi.Mode(); {
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a regular file (mode %v)", path, mode)
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return fmt.Errorf("%s is setuid or setgid (mode %v), which no plugin may be: chmod ug-s %s", path, mode, path)
	case program && mode&0o111 == 0:
		return fmt.Errorf("%s cannot be executed (mode %v): chmod a+x %s", path, mode, path)
	}
	return j.look(f, path)
}

// look judges owner and mode of an open file or directory.
func (j judge) look(f *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	if j.insecure {
		return nil
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != j.euid:
		who := "root"
		if j.euid != 0 {
			who = fmt.Sprintf("root or uid %d", j.euid)
		}
		return fmt.Errorf("%s belongs to uid %d (mode %04o); rkt runs only plugins that %s alone can change: chown root %s", path, st.Uid, st.Mode&0o7777, who, path)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others than its owner (owner uid %d, mode %04o): chmod go-w %s, or install the plugin elsewhere", path, st.Uid, st.Mode&0o7777, path)
	}
	return nil
}
