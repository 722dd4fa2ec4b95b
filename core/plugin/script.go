package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
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

// newProgram finds out how the plugin's file is executed. The caller closes p.file, unless that is the file itself.
func newProgram(file *os.File, e *Entry, k Kind, j judge) (program, error) {
	line, err := firstLine(file)
	if err != nil {
		return program{}, fmt.Errorf("execute %s: %w", file.Name(), err)
	}
	if !strings.HasPrefix(line, "#!") {
		return program{file: file, argv: []string{e.Manifest.Exec}}, checkELF(file)
	}
	if !k.unprivileged() {
		return program{}, fmt.Errorf("execute %s: a %s plugin cannot be a script: pods keep it while they run, and rkt cannot keep its interpreter for them", file.Name(), k)
	}
	path, arg, err := shebang(line)
	if err != nil {
		return program{}, fmt.Errorf("execute %s: %w", file.Name(), err)
	}
	interp, err := j.openInterpreter(path)
	if err != nil {
		return program{}, fmt.Errorf("execute %s: its interpreter: %w", file.Name(), err)
	}
	if err := checkELF(interp); err != nil {
		interp.Close()
		return program{}, fmt.Errorf("execute %s: its interpreter: %w", file.Name(), err)
	}
	argv := []string{path}
	if arg != "" {
		argv = append(argv, arg)
	}
	return program{file: interp, argv: argv, script: file}, nil
}

// maxShebang is the kernel's BINPRM_BUF_SIZE.
const maxShebang = 256

func firstLine(f *os.File) (string, error) {
	b := make([]byte, maxShebang)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	b = b[:n]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	} else if bytes.HasPrefix(b, []byte("#!")) {
		return "", fmt.Errorf("its first line has no end within %d bytes", maxShebang)
	}
	return string(b), nil
}

// shebang takes a first line apart as the kernel does: a path, and the rest as one argument.
func shebang(line string) (path, arg string, err error) {
	path, arg, _ = strings.Cut(strings.Trim(strings.TrimPrefix(line, "#!"), " \t"), " ")
	if i := strings.IndexByte(path, '\t'); i >= 0 {
		path, arg = path[:i], path[i+1:]+" "+arg
	}
	arg = strings.Trim(arg, " \t")
	switch {
	case !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(line, 0):
		return "", "", fmt.Errorf("its first line names no interpreter by an absolute path: %s", quote(line))
	case filepath.Base(path) == "env":
		return "", "", fmt.Errorf("its first line has the interpreter looked up by %s, so that rkt cannot check it: name the interpreter itself", path)
	}
	return path, arg, nil
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
