package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// RenameNoReplace renames from to to and returns fs.ErrExist when to is there already, even as an empty
// directory, which rename(2) would replace (renameat2: since Linux 3.15).
func RenameNoReplace(from, to string) error {
	err := Retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Syncfs writes out the file system that f is on, data and names. Since Linux 5.8 it reports write errors.
func Syncfs(f *os.File) error {
	return os.NewSyscallError("syncfs", Retry(func() error { return unix.Syncfs(int(f.Fd())) }))
}
