package fetcher

import (
	"github.com/rkt/rkt/v2/proto/reason"
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
