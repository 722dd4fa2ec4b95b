package answer

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/reason"
)

// Sendable are the reasons that a plugin may send.
func Sendable() []reason.Reason {
	return []reason.Reason{
		reason.Internal, reason.ConfigInvalid, reason.HostUnfit, reason.Busy, reason.Unsupported,
		reason.ReferenceInvalid, reason.ImageNotFound, reason.AuthRequired, reason.AuthDenied, reason.NetworkUnreachable,
		reason.RegistryThrottled, reason.InsecureRefused, reason.DigestMismatch, reason.ImageInvalid,
		reason.SignatureInvalid, reason.SignatureRejected, reason.TrustMissing,
		reason.NetworkNotFound, reason.NetworkDamaged, reason.AddressInUse, reason.PortInUse,
		reason.PodUnsupported, reason.PodNotFound, reason.PodNotRunning, reason.AppNotFound,
	}
}

// Reason returns the reason that an error of an RPC carries; empty when it carries none.
func Reason(err error) reason.Reason {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == reason.Domain {
			return reason.Reason(info.GetReason())
		}
	}
	return ""
}

// Known returns nil when the error is one that core can do something with.
func Known(err error) error {
	switch code := status.Code(err); code {
	case codes.OK, codes.Canceled, codes.DeadlineExceeded, codes.Unimplemented:
		return nil
	}
	r := Reason(err)
	if r == "" {
		return fmt.Errorf("the error has no google.rpc.ErrorInfo of domain %q: %w", reason.Domain, err)
	}
	if !slices.Contains(Sendable(), r) {
		return fmt.Errorf("the error's reason %q is not one that a plugin may send: %w", r, err)
	}
	return nil
}

// Want returns nil when the error carries one of the reasons.
func Want(err error, want ...reason.Reason) error {
	var names []string
	for _, w := range want {
		names = append(names, string(w))
	}
	list := strings.Join(names, " or ")
	if err == nil {
		return fmt.Errorf("it succeeded; want %s", list)
	}
	got := Reason(err)
	if slices.Contains(want, got) {
		return nil
	}
	if got == "" {
		return fmt.Errorf("it failed without a reason, want %s: %w", list, err)
	}
	return fmt.Errorf("want %s, it failed with %w", list, err)
}
