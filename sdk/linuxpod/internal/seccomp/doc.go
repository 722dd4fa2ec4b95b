// Package seccomp turns the field's default profile (github.com/moby/profiles) into the BPF program that an
// app's process installs before it executes the app. It runs before the pod; the supervisor only
// loads bytes.
//
// What is refused answers EPERM; what is newer than the profile answers ENOSYS, so that a libc that tries a new
// system call falls back to an old one instead of reporting an error. Of an amd64 machine the native and the
// i386 calls are filtered by the same profile, x32 is refused; of arm64 the native and the 32-bit ones. Calls
// of any other architecture end the process.
//
// Compiling takes milliseconds and happens once per set of capabilities, kernel and version of this package:
// the program is kept on disk, and a start is one read. What is on disk carries its checksum and is compiled
// anew when it is damaged.
//
// The tables of system call numbers (ztables.go) are made by gen.go from golang.org/x/sys.
package seccomp

//go:generate go run gen.go
