package fetcher

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// ReferenceInvalid: the reference cannot be read as one of this scheme.
func ReferenceInvalid(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.ReferenceInvalid, format, args...)
}

// NotFound: there is no such image, or none for the platform. Say where it was looked for.
func NotFound(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.ImageNotFound, format, args...)
}

// Unreadable: a file of this host could not be opened, at path, with err. One that is closed to this process is no bug
// but a surprise, since rkt itself is root's: the text says what to do. Of the pair EACCES and ENOENT it is
// IMAGE_NOT_FOUND; any other error, and nil, is returned as it is. An *fs.PathError whose path is relative is about a file
// below path.
func Unreadable(path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok && !filepath.IsAbs(pe.Path) {
		path = filepath.Join(path, pe.Path)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return NotFound("open %s: %w: fetchers run as an unprivileged user (uid %d here), and what rkt does not open for them "+
			"must be open to everybody: chmod o+r the file and o+x the directories above it, or move it", path, fs.ErrPermission, os.Geteuid())
	case errors.Is(err, fs.ErrNotExist):
		return NotFound("open %s: %w", path, fs.ErrNotExist)
	}
	return err
}

// AuthRequired: the server wants a credential and none was given for its host.
func AuthRequired(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.AuthRequired, format, args...)
}

// AuthDenied: the server refused the credential.
func AuthDenied(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.AuthDenied, format, args...)
}

// NetworkUnreachable: no answer, a broken connection, a server error.
func NetworkUnreachable(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.NetworkUnreachable, format, args...)
}

// Throttled: the server wants fewer requests. Add RetryAfter when it said how long.
func Throttled(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.RegistryThrottled, format, args...)
}

// InsecureRefused: it needs plain http or an unknown CA, and the caller did not allow it.
func InsecureRefused(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.InsecureRefused, format, args...)
}

// DigestMismatch: the server sent other bytes than it promised.
func DigestMismatch(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.DigestMismatch, format, args...)
}

// ImageInvalid: the image does not hold to its own specification.
func ImageInvalid(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.ImageInvalid, format, args...)
}

// reasoned gives what ocilayout refuses its reason; another plugin error has its own.
func reasoned(err error) error {
	switch _, own := errors.AsType[*plugin.Error](err); {
	case own:
	case errors.Is(err, ocilayout.ErrMismatch):
		return DigestMismatch("%w", err)
	case errors.Is(err, ocilayout.ErrInvalid):
		return ImageInvalid("%w", err)
	case errors.Is(err, ocilayout.ErrBusy): // by a killed fetcher, whose descriptors are not closed yet
		return plugin.Busy("%w", err)
	}
	return err
}
