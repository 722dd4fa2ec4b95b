package confine

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
)

func quote(s string) string { return strconv.Quote(s) }

// diagnose finds out what an errno of execve meant.
func diagnose(paths, argv []string, errno syscall.Errno) *ExecError {
	code := CannotExecute
	if errors.Is(errno, syscall.ENOENT) || errors.Is(errno, syscall.ENOTDIR) {
		code = NotFound
	}
	return &ExecError{Code: code, Reason: fmt.Sprintf("execute %s: %v", quote(paths[len(paths)-1]), errno)}
}
