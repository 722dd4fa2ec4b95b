package answer

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/reason"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// plain is an error of an RPC whose text is its reason and its message, which is what its author has written. gRPC's own
// text names neither reason nor anything that the contract speaks of.
type plain struct{ s *status.Status }

// GRPCStatus keeps it what it was for package status.
func (e *plain) GRPCStatus() *status.Status { return e.s }

func (e *plain) Error() string {
	word := string(Reason(e))
	if word == "" {
		word = code.Code(e.s.Code()).String()
	}
	if e.s.Message() == "" {
		return word
	}
	return word + ": " + e.s.Message()
}

// Plain returns an error of an RPC as one that can be shown. Others, such as io.EOF, it returns as they are.
func Plain(err error) error {
	var s interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &s) {
		return err
	}
	return &plain{s.GRPCStatus()}
}

// Configured returns why a plugin does not take a configuration, whichever of the two ways of saying so it has chosen: an
// error diagnostic is an error with CONFIG_INVALID.
func Configured(resp *pluginv1.ConfigureResponse, err error) error {
	if err != nil {
		return Plain(err)
	}
	for _, d := range resp.GetDiagnostics() {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_ERROR {
			continue
		}
		text := d.GetSummary()
		if f := d.GetField(); f != "" {
			text = f + ": " + text
		}
		s, err := status.New(codes.InvalidArgument, text).WithDetails(&errdetails.ErrorInfo{Domain: reason.Domain, Reason: string(reason.ConfigInvalid)})
		if err != nil {
			return err
		}
		return &plain{s}
	}
	return nil
}
