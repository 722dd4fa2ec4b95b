// Package nofile knows the soft limit of open files that this process was started with.
//
// Go's syscall package raises the limit when the process starts, and lowers it again only for programs that
// its own ForkExec starts. Apps are started by package spawn, and must get what the caller had: programs that
// use select(2), or close all descriptors up to the limit, suffer from a high one.
//
// The limit is read by a package variable whose initializer runs before package syscall's: packages are
// initialized in the order of their import paths as soon as what they import is (Go 1.21), and this one
// imports nothing but unsafe. That is why it makes its one system call in assembly. A test holds it to that.
package nofile
