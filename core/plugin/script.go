package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/launch"
)

// A plugin may be a script: a text, or an archive that an interpreter runs (Python's zipapp), whose first line is
//
//	#!/usr/bin/python3 -I
//
// The interpreter is held to the rules of the plugin's own files: it, every directory and every link on the way to it
// must be root's alone. It is not left to the kernel, which would look its path up once more: rkt executes the
// descriptor that was checked, and gives it the script as /proc/self/fd/N, again the file that was checked.
//
// What an interpreter loads beyond that is its own, like the libraries of a binary that is linked dynamically. So a
// stage1 or network plugin cannot be a script: a pod keeps the very plugin it was started with, and rkt could pin
// the script, but not what it takes to run it.

// program is what is executed.
type program struct {
	file *os.File // an ELF binary
	argv []string // less the script's path, which comes last
	// script is inherited by the process; nil for a binary.
	script *os.File
}

// newProgram finds out how the plugin's file is executed. The caller closes p.file of a script.
func newProgram(file *os.File, e *Entry, k Kind, j judge) (program, error) {
	name := e.shown(file.Name())
	bad := func(err error) (program, error) { return program{}, fmt.Errorf("execute %s: %w", name, err) }
	path, arg, err := launch.Script(file)
	if err != nil {
		return bad(noProgramf("%w", err))
	}
	if path == "" {
		what := "neither an ELF binary nor a script (its first line would begin with #!)"
		if !k.unprivileged() {
			what = fmt.Sprintf("no ELF binary, which a %s plugin must be", k)
		}
		if err := checkELF(file, what); err != nil {
			return bad(err)
		}
		return program{file: file, argv: []string{e.Manifest.Exec}}, nil
	}
	if !k.unprivileged() {
		return bad(noProgramf("a %s plugin cannot be a script: pods keep it while they run, and rkt cannot keep its interpreter for them", k))
	}
	interp, err := j.openInterpreter(path)
	if err != nil {
		return bad(fmt.Errorf("its interpreter: %w", err))
	}
	if err := checkELF(interp, "no ELF binary: "+path); err != nil {
		interp.Close()
		return bad(fmt.Errorf("its interpreter: %w", err))
	}
	argv := []string{path}
	if arg != "" {
		argv = append(argv, arg)
	}
	return program{file: interp, argv: argv, script: file}, nil
}

// ErrNoProgram is wrapped by errors about a plugin whose binary no machine of this kind could run, whoever owns it.
var ErrNoProgram = errors.New("no program")

// noProgramError reads as its cause alone.
type noProgramError struct{ error }

func (e *noProgramError) Is(target error) bool { return target == ErrNoProgram }
func (e *noProgramError) Unwrap() error        { return e.error }

func noProgramf(format string, args ...any) error {
	return &noProgramError{fmt.Errorf(format, args...)}
}

// maxLinks is the kernel's.
const maxLinks = 40

// openInterpreter opens a program of the system. Unlike a plugin's own files it is often found through links
// (/usr/bin/python3); each of them must be one that only root could have made.
func (j judge) openInterpreter(path string) (*os.File, error) {
	rest := path
	for range maxLinks {
		dir, err := j.openDir("/", "")
		if err != nil {
			return nil, err
		}
		f, next, err := j.follow(dir, "/", strings.TrimPrefix(rest, "/"))
		if err != nil || f != nil {
			return f, err
		}
		rest = next
	}
	return nil, fmt.Errorf("%s: too many links", path)
}

// follow opens rest below dir, judging all on the way, or returns the path that the first link in it leads to. It
// closes dir.
func (j judge) follow(dir *os.File, at, rest string) (f *os.File, next string, err error) {
	defer func() { dir.Close() }()
	for {
		name, more, deeper := strings.Cut(rest, "/")
		path := filepath.Join(at, name)
		fd, err := linux.Openat2(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_BENEATH)
		if err != nil {
			return nil, "", &os.PathError{Op: "open", Path: path, Err: err}
		}
		found := os.NewFile(uintptr(fd), path)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			found.Close()
			return nil, "", &os.PathError{Op: "fstat", Path: path, Err: err}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			defer found.Close()
			to, err := j.readLink(found, path, &st)
			if err != nil {
				return nil, "", err
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(at, to)
			}
			return nil, filepath.Join(to, more), nil
		}
		if !deeper {
			found.Close()
			f, err := j.openFile(dir, name, true)
			return f, "", err
		}
		if err := j.look(found, path); err != nil {
			found.Close()
			return nil, "", err
		}
		dir.Close()
		dir, at, rest = found, path, more
	}
}

// readLink judges a link by its owner; modes of links say nothing.
func (j judge) readLink(link *os.File, path string, st *unix.Stat_t) (string, error) {
	if !j.insecure && st.Uid != 0 && int(st.Uid) != j.euid {
		return "", fmt.Errorf("%s is a link of uid %d; rkt follows only links that nobody but root can change", path, st.Uid)
	}
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", b)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(b[:n]), nil
}
