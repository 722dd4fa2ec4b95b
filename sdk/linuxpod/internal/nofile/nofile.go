package nofile

import "unsafe"

// limit is struct rlimit64.
type limit struct{ cur, max uint64 }

// rlimitNoFile is RLIMIT_NOFILE.
const rlimitNoFile = 7

// inherited is never written after its initializer.
var inherited = read()

func read() (l limit) {
	if prlimit(rlimitNoFile, unsafe.Pointer(&l)) != 0 {
		return limit{}
	}
	return l
}

// Inherited returns the limits of this process's start; ok is false when the kernel did not tell.
func Inherited() (soft, hard uint64, ok bool) {
	return inherited.cur, inherited.max, inherited.max != 0
}

// prlimit is prlimit64(0, resource, nil, out).
//
//go:noescape
func prlimit(resource uintptr, out unsafe.Pointer) (errno uintptr)
