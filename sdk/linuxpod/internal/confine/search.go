package confine

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Exit codes of shells for what could not be executed.
const (
	CannotExecute = 126
	NotFound      = 127
)

// ExecError says why a program could not be executed.
type ExecError struct {
	Code   int // NotFound or CannotExecute
	Reason string
}

func (e *ExecError) Error() string { return e.Reason }

// search returns the files that argv[0] can mean, to be tried in order. A name without a slash is searched in
// the program's own PATH; a relative one counts from the working directory. The thread's root is the app's.
func search(argv, env []string, dir string) ([]string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, &ExecError{Code: NotFound, Reason: "no command is given, neither by the image nor by --exec"}
	}
	name := argv[0]
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			name = path.Join("/", dir, name)
		}
		return []string{name}, nil
	}
	dirs, _ := lookup(env, "PATH")
	var found []string
	for d := range strings.SplitSeq(dirs, ":") {
		if d == "" {
			d = "." // as execvp(3) has it
		}
		if !path.IsAbs(d) {
			d = path.Join("/", dir, d)
		}
		p := d + "/" + name
		var st unix.Stat_t
		if unix.Stat(p, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, &ExecError{Code: NotFound, Reason: "command " + quote(name) + " is not in the image's PATH (" + dirs + ")"}
	}
	return found, nil
}
