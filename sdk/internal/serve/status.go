package serve

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Status makes an error of the plugin a gRPC status with a reason. One that is a status already stays.
func Status(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return err
	}
	var e *plugin.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, clean(err.Error()))
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, clean(err.Error()))
		}
		e = &plugin.Error{Reason: reason.Internal}
	}
	info := &errdetails.ErrorInfo{Domain: reason.Domain, Reason: string(e.Reason), Metadata: map[string]string{}}
	for k, v := range e.Metadata {
		info.Metadata[clean(k)] = clean(v)
	}
	// The text is the outer error's: a wrapper may have said what was being done.
	s, detailErr := status.New(code(e.Reason), clean(err.Error())).WithDetails(info)
	if detailErr != nil {
		return status.Error(code(e.Reason), clean(err.Error()))
	}
	return s.Err()
}

// clean keeps a text sendable: protobuf refuses invalid UTF-8, and gRPC puts it into a header.
func clean(s string) string {
	const most = 8 << 10
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " ..."
	}
	return s
}

// code is the gRPC code of a reason; clients that know no reasons go by it.
func code(r reason.Reason) codes.Code { return codes.Code(reason.Code(r)) }
