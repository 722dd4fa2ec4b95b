package plugin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rkt/rkt/v2/proto/reason"
)

// One sentinel a reason, for errors.Is.
var (
	ErrInternal           = errors.New("internal error of a plugin")
	ErrConfigInvalid      = errors.New("configuration cannot be used")
	ErrHostUnfit          = errors.New("this host lacks something")
	ErrBusy               = errors.New("busy")
	ErrUnsupported        = errors.New("not supported")
	ErrReferenceInvalid   = errors.New("image reference is invalid")
	ErrImageNotFound      = errors.New("image not found")
	ErrAuthRequired       = errors.New("authentication required")
	ErrAuthDenied         = errors.New("authentication denied")
	ErrNetworkUnreachable = errors.New("network unreachable")
	ErrThrottled          = errors.New("registry wants fewer requests")
	ErrInsecureRefused    = errors.New("insecure transport refused")
	ErrDigestMismatch     = errors.New("digest mismatch")
	ErrImageInvalid       = errors.New("image is invalid")
	ErrSignatureInvalid   = errors.New("signature cannot be read")
	ErrSignatureRejected  = errors.New("signature rejected")
	ErrTrustMissing       = errors.New("no trusted key")
	ErrNetworkNotFound    = errors.New("network not found")
	ErrNetworkDamaged     = errors.New("network is damaged")
	ErrAddressInUse       = errors.New("address in use")
	ErrPortInUse          = errors.New("port in use")
	ErrPodUnsupported     = errors.New("pod is not supported by this stage1")
	ErrPodNotFound        = errors.New("pod not found")
	ErrPodNotRunning      = errors.New("pod is not running")
	ErrAppNotFound        = errors.New("app not found")
	ErrMissing            = errors.New("no such plugin")
	ErrRefused            = errors.New("plugin refused")
	ErrProtocol           = errors.New("plugin does not keep to the protocol")
	ErrCrashed            = errors.New("plugin crashed")
	ErrTimeout            = errors.New("plugin did not answer in time")
)

// kind is a row of the table.
type kind struct {
	reason reason.Reason
	err    error
	exit   int // sysexits(3)
}

// kinds is the one table from reasons to Go errors and exit statuses. What each means is reason.Table.
func kinds() []kind {
	return []kind{
		{reason.Internal, ErrInternal, 70},
		{reason.ConfigInvalid, ErrConfigInvalid, 64},
		{reason.HostUnfit, ErrHostUnfit, 69},
		{reason.Busy, ErrBusy, 75},
		{reason.Unsupported, ErrUnsupported, 69},
		{reason.ReferenceInvalid, ErrReferenceInvalid, 64},
		{reason.ImageNotFound, ErrImageNotFound, 66},
		{reason.AuthRequired, ErrAuthRequired, 77},
		{reason.AuthDenied, ErrAuthDenied, 77},
		{reason.NetworkUnreachable, ErrNetworkUnreachable, 75},
		{reason.RegistryThrottled, ErrThrottled, 75},
		{reason.InsecureRefused, ErrInsecureRefused, 76},
		{reason.DigestMismatch, ErrDigestMismatch, 76},
		{reason.ImageInvalid, ErrImageInvalid, 65},
		{reason.SignatureInvalid, ErrSignatureInvalid, 65},
		{reason.SignatureRejected, ErrSignatureRejected, 76},
		{reason.TrustMissing, ErrTrustMissing, 76},
		{reason.NetworkNotFound, ErrNetworkNotFound, 66},
		{reason.NetworkDamaged, ErrNetworkDamaged, 69},
		{reason.AddressInUse, ErrAddressInUse, 69},
		{reason.PortInUse, ErrPortInUse, 69},
		{reason.PodUnsupported, ErrPodUnsupported, 64},
		{reason.PodNotFound, ErrPodNotFound, 66},
		{reason.PodNotRunning, ErrPodNotRunning, 69},
		{reason.AppNotFound, ErrAppNotFound, 66},
		{reason.PluginMissing, ErrMissing, 69},
		{reason.PluginRefused, ErrRefused, 69},
		{reason.PluginProtocol, ErrProtocol, 70},
		{reason.PluginCrashed, ErrCrashed, 70},
		{reason.PluginTimeout, ErrTimeout, 75},
	}
}

func kindOf(r reason.Reason) kind {
	ks := kinds()
	for _, k := range ks {
		if k.reason == r {
			return k
		}
	}
	return ks[0]
}

// ExitCode is the exit status of a command that fails for a reason.
func ExitCode(r reason.Reason) int { return kindOf(r).exit }

// Error is what went wrong with or in a plugin.
type Error struct {
	Verb     string // what was being done: "fetch docker://x/y"
	Plugin   string // empty when none was found
	Version  string
	Reason   reason.Reason
	Message  string
	Metadata map[string]string // of ErrorInfo
	LastLog  []string          // of a crash: the last lines of its stderr
	LogFile  string            // where its whole log was kept, if it was
	Err      error             // cause: a context's error
}

// Error reads "fetch docker://x/y: fetcher-docker 1.4.0: manifest unknown [IMAGE_NOT_FOUND]".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Verb != "" {
		b.WriteString(e.Verb + ": ")
	}
	if e.Plugin != "" {
		b.WriteString(e.Plugin)
		if e.Version != "" {
			b.WriteString(" " + e.Version)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Plugin != "" {
		fmt.Fprintf(&b, " [%s]", e.Reason)
	}
	for _, line := range e.LastLog {
		b.WriteString("\n  | " + line)
	}
	if e.LogFile != "" && e.Reason != reason.Internal {
		fmt.Fprintf(&b, "\n  (rkt plugin logs %s shows what it wrote: %s)", e.Plugin, e.LogFile)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrImageNotFound) work.
func (e *Error) Is(target error) bool { return target == kindOf(e.Reason).err }

func (e *Error) Unwrap() error { return e.Err }

// ExitCode is the exit status of a command that ends with the error.
func (e *Error) ExitCode() int { return kindOf(e.Reason).exit }

// RetryAfter is the wait that the plugin asked for, 0 when it named none.
func (e *Error) RetryAfter() time.Duration {
	d, err := time.ParseDuration(e.Metadata["retry_after"])
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// refuse is about a plugin that was found and is not trusted, or is not what it says.
func refuse(e *Entry, format string, args ...any) *Error {
	return about(e, reason.PluginRefused, format, args...)
}

func about(e *Entry, r reason.Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	out := &Error{Verb: "start plugin", Plugin: e.Name, Reason: r, Message: err.Error(), Err: errors.Unwrap(err)}
	if e.Manifest != nil {
		out.Version = printable(e.Manifest.Version)
	}
	return out
}

// printable makes a plugin's words fit for a terminal: no control characters, not endless.
func printable(s string) string {
	const most = 4 << 10
	if len(s) > most {
		s = s[:most] + " ..."
	}
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}
