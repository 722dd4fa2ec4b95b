package mnt

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Sealed opens the running program on a detached read-only mount. A process that runs from it shows that
// mount in /proc/PID/exe: opening it for writing fails with EROFS whoever asks (CVE-2019-5736). The mount is
// in no namespace and goes away with the last process that runs from it.
func Sealed() (int, error) {
	fd, err := Clone(unix.AT_FDCWD, "/proc/self/exe", false)
	if err != nil {
		return -1, fmt.Errorf("clone mount of own program: %w", err)
	}
	if err := Restrict(fd, ReadOnly|NoDev, false); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seal own program: %w", err)
	}
	return fd, nil
}
