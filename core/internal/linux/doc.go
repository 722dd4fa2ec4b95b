// Package linux wraps the few system calls that core needs beyond package os: opening below a directory that
// somebody else may write to (openat2), flock(2), removing trees of any shape, renames that replace nothing.
//
// What belongs here: one call, its EINTR loop, and the kernel version that brought it. What does not: policy,
// paths of rkt, anything that knows a pod or an image. It imports the standard library and x/sys alone, because
// the layer unpacker links it.
//
// Every descriptor is opened with O_CLOEXEC.
package linux
