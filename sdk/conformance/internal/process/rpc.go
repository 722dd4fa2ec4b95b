package process

import (
	"context"

	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
)

// unary and stream make errors readable where they arrive, since most of them end in a report.
func unary(ctx context.Context, method string, req, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return answer.Plain(invoke(ctx, method, req, reply, c, opts...))
}

func stream(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, c, method, opts...)
	if err != nil {
		return nil, answer.Plain(err)
	}
	return &readable{s}, nil
}

type readable struct{ grpc.ClientStream }

func (r *readable) SendMsg(m any) error { return answer.Plain(r.ClientStream.SendMsg(m)) }
func (r *readable) RecvMsg(m any) error { return answer.Plain(r.ClientStream.RecvMsg(m)) }
