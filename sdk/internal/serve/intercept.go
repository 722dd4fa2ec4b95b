package serve

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// enter prepares one RPC: its context ends with the lifeline, and the process waits for it then.
func (s *server) enter(ctx context.Context) (context.Context, func()) {
	s.reclaim()
	s.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel(); s.running.Done() }
}

func (s *server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	ctx, leave := s.enter(ctx)
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
	ctx, leave := s.enter(ss.Context())
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
