// Package local reads images from files of this host: OCI layouts in a directory or an archive, and the archives
// of `docker save`. It reads nothing outside them: names lead to files below the directory or in the archive.
//
// It runs as an unprivileged user, so that a file that root can read may be closed to it; the error then says
// which directory or file it is. Errors have the reasons IMAGE_NOT_FOUND, IMAGE_INVALID and DIGEST_MISMATCH.
package local
