package serve

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// enter prepares one RPC: its context ends with the lifeline, and the process waits for it then. One that comes
// after that is refused.
func (s *server) enter(ctx context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil, nil, Status(context.Canceled)
	}
	s.calls++
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel(); s.leave() }, nil
}

func (s *server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, s.panicked(info.FullMethod, v)
		}
	}()
	resp, err = h(ctx, req)
	return resp, Status(err)
}

func (s *server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	ctx, leave, err := s.enter(ss.Context())
	if err != nil {
		return err
	}
	defer leave()
	defer func() {
		if v := recover(); v != nil {
			err = s.panicked(info.FullMethod, v)
		}
	}()
	return Status(h(srv, &streamWithContext{ss, ctx}))
}

// panicked keeps the process alive for the answer: core gets a typed error, the log gets the stack.
func (s *server) panicked(method string, v any) error {
	s.log.Error("panic", "method", method, "value", fmt.Sprint(v), "stack", string(debug.Stack()))
	return Status(plugin.Errorf(reason.Internal, "panic in %s: %v", method, v))
}

type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *streamWithContext) Context() context.Context { return s.ctx }
