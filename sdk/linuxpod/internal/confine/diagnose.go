package confine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// headSize is how much of a program is looked at: the interpreter line, or the ELF header with the program
// headers, which linkers put first.
const headSize = 64 << 10

func quote(s string) string { return strconv.Quote(s) }

// diagnose finds out what an errno of execve meant: which of the command, a script's interpreter or an ELF
// program's loader is missing or does not fit. The thread's root is the app's; files are the image's and are
// only read, up to a bound.
func diagnose(paths, argv []string, errno syscall.Errno) *ExecError {
	path := paths[len(paths)-1]
	code := CannotExecute
	if errors.Is(errno, syscall.ENOENT) || errors.Is(errno, syscall.ENOTDIR) {
		code = NotFound
	}
	return &ExecError{Code: code, Reason: "execute " + quote(argv[0]) + ": " + explain(path, errno)}
}

func explain(path string, errno syscall.Errno) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return "the image has no file " + quote(path)
		}
		return fmt.Sprintf("%s: %v", quote(path), err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return quote(path) + " is a directory"
	default:
		return quote(path) + " is not a regular file"
	}
	if st.Mode&0o111 == 0 {
		return quote(path) + " has no execute permission (mode " + strconv.FormatUint(uint64(st.Mode&0o7777), 8) + ")"
	}
	head, err := readHead(path)
	if err != nil {
		return fmt.Sprintf("%v; reading %s: %v", errno, quote(path), err)
	}
	switch {
	case len(head) == 0:
		return quote(path) + " is empty"
	case bytes.HasPrefix(head, []byte("#!")):
		return explainScript(path, head, errno)
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return explainELF(path, head, errno)
	case errors.Is(errno, syscall.ENOEXEC):
		return quote(path) + " is neither an ELF program nor a script that starts with #!"
	}
	return fmt.Sprintf("%s: %v", quote(path), errno)
}

func readHead(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, headSize)
	n, err := f.ReadAt(buf, 0)
	if n == 0 && err != nil && !strings.HasSuffix(err.Error(), "EOF") {
		return nil, err
	}
	return buf[:n], nil
}

// explainScript looks at the interpreter of a script.
func explainScript(path string, head []byte, errno syscall.Errno) string {
	interp := interpreter(head)
	if interp == "" {
		return "script " + quote(path) + " names no interpreter after #!"
	}
	what := "interpreter " + quote(interp) + " of script " + quote(path)
	var st unix.Stat_t
	if err := unix.Stat(interp, &st); err != nil {
		s := what + " is missing in the image"
		if strings.HasSuffix(interp, "\r") {
			s += " (the script has DOS line ends)"
		}
		return s
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return what + " cannot be executed"
	}
	if h, err := readHead(interp); err == nil && bytes.HasPrefix(h, []byte("\x7fELF")) {
		return what + ": " + explainELF(interp, h, errno)
	}
	return fmt.Sprintf("%s: %v", what, errno)
}

// interpreter returns the program of a #! line.
func interpreter(head []byte) string {
	line, _, _ := bytes.Cut(head[2:], []byte{'\n'})
	f := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(f) == 0 {
		return ""
	}
	return string(f[0])
}

func explainELF(path string, head []byte, errno syscall.Errno) string {
	e, err := parseELF(head)
	if err != nil {
		return quote(path) + " is a damaged ELF program: " + err.Error()
	}
	if own := ownMachine(); e.machine != own && errors.Is(errno, syscall.ENOEXEC) {
		return quote(path) + " is built for " + machineName(e.machine) + ", this machine is " + machineName(own)
	}
	if e.loader != "" {
		var st unix.Stat_t
		if unix.Stat(e.loader, &st) != nil {
			return "loader " + quote(e.loader) + " of " + quote(path) + " is missing in the image: the program is linked against libraries that the image does not have"
		}
	}
	return fmt.Sprintf("%s: %v", quote(path), errno)
}

func ownMachine() uint16 {
	if runtime.GOARCH == "arm64" {
		return machineARM64
	}
	return machineAMD64
}
