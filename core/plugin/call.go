package plugin

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/reason"
)

// Error makes an *Error of what an RPC returned: verb says what was being done ("fetch docker://x/y"). A plugin
// that died in the middle is told from one that answered with an error.
func (p *Process) Error(verb string, err error) error {
	if err == nil {
		return nil
	}
	return p.report(p.explain(verb, err))
}

// report hands a failure of the plugin's own, with what it wrote, to who keeps it. An honest answer, such as "no such
// image", is none, nor is what the caller cancelled.
func (p *Process) report(err error) error {
	var e *Error
	if p.failed == nil || p.run == nil || p.run.child == nil || !errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return err
	}
	if reason.SenderOf(e.Reason) == reason.Core || e.Reason == reason.Internal {
		log := p.log.kept()
		if file := p.failed(e, log); len(log) > 0 {
			e.LogFile = file
		}
	}
	return err
}

func (p *Process) explain(verb string, err error) *Error {
	out := &Error{Verb: verb, Plugin: p.entry.Name, Version: printable(p.entry.Manifest.Version)}
	s, ok := status.FromError(err)
	if !ok {
		out.Reason, out.Message, out.Err = reason.Internal, printable(err.Error()), err
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			out.Reason = reason.PluginTimeout
		case errors.Is(err, context.Canceled):
			out.Message = "cancelled"
		}
		return out
	}
	out.Message = printable(s.Message())
	for _, d := range s.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != reason.Domain {
			continue
		}
		k := kindOf(reason.Reason(info.GetReason()))
		if reason.SenderOf(k.reason) == reason.Core {
			k = kindOf(reason.Internal)
		}
		out.Reason = k.reason
		out.Metadata = map[string]string{}
		for key, v := range info.GetMetadata() {
			out.Metadata[printable(key)] = printable(v)
		}
		return out
	}
	switch s.Code() {
	case codes.Canceled:
		out.Reason, out.Message, out.Err = reason.Internal, "cancelled", context.Canceled
	case codes.DeadlineExceeded:
		out.Reason, out.Message, out.Err = reason.PluginTimeout, "did not answer within the deadline", context.DeadlineExceeded
	case codes.Unimplemented:
		out.Reason = reason.Unsupported
	case codes.ResourceExhausted:
		out.Reason, out.Message = reason.PluginProtocol, "answered with more than "+"4 MiB"+": "+out.Message
	case codes.Unavailable, codes.Unknown, codes.Internal:
		return p.crash(verb, 500*time.Millisecond, "broke the connection: "+out.Message)
	default:
		out.Reason = reason.PluginProtocol
	}
	return out
}

// crash reports a process that is dead, or is about to be. If it lives on after wait, otherwise says what it
// did instead.
func (p *Process) crash(verb string, wait time.Duration, otherwise string) *Error {
	out := &Error{Verb: verb, Plugin: p.entry.Name, Version: printable(p.entry.Manifest.Version)}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-p.run.child.exited:
	case <-t.C:
		out.Reason, out.Message = reason.PluginProtocol, otherwise
		return out
	}
	select { // its last words may still be in the pipe
	case <-p.log.done:
	case <-t.C:
	}
	out.Reason = reason.PluginCrashed
	out.Message = "crashed (" + crashed(p.run.child.state) + ")"
	out.LastLog = p.log.last()
	if len(out.LastLog) == 0 {
		out.Message += " without a word"
	}
	return out
}
