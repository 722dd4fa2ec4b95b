// Package pin keeps copies of plugins by digest, so that a pod uses the very binaries that started it for as
// long as it exists: across upgrade, downgrade and removal of the package.
//
// It owns everything below one directory:
//
//	pins/
//	  <sha256>/           0755; a whole plugin: plugin.json, exec and programs, 0555, of the user rkt runs as
//	  index/<key>         which files of which plugin directory have which digest
//	  .new-XXXX/          a copy in the making, locked by the process that makes it
//
// The name is the digest of the list "name, digest" of the files, sorted by name. A file is hashed once: while
// a source's device, inode, size, mtime and ctime are those of the index, its digest is believed.
//
// It does not own who refers to a pin (the pods' plugins.json), nor what a plugin is (core/plugin).
//
// Invariants: a directory that is named by a digest is complete and on disk; it never changes. Sources are
// checked as for a launch, and the bytes copied are those of the files checked. Many processes may pin and
// remove at once; a pin that was asked for in the last minutes is never removed, because whoever asked has
// perhaps not written down yet that it uses it.
package pin
