// Package conflist finds network configurations: those compiled in and those of the net.d directories. It owns the
// rules of precedence and of what a configuration may say; it runs nothing.
//
// Rules: directories are read in the order given (the admin's first), files of one directory in lexical order; the
// first configuration of a name wins, a later one is a warning; those compiled in come last, so a file overrides
// them. A broken file hides no other. Names and types become file names, so they are checked before use
// (CVE-2021-20206).
package conflist
