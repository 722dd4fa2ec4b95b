// Package user finds out who an app runs as, from the app's own /etc/passwd and /etc/group.
//
// Those files are the image's: they are opened inside the root, must be regular, and are read up to a bound,
// so that a fifo, a device, a symlink out of the tree or an endless file is an error and nothing worse. They
// are never looked at through nss or anything else that could load code from the image.
package user
