package protocol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// greased returns m with fields that no version of the contract has: what a later minor will look like.
func greased[M proto.Message](e *suite.Env, m M) M {
	var b []byte
	for _, t := range []protowire.Type{protowire.VarintType, protowire.BytesType, protowire.Fixed64Type} {
		b = protowire.AppendTag(b, protowire.Number(1000+e.Rand.IntN(17000)), t)
		switch t {
		case protowire.VarintType:
			b = protowire.AppendVarint(b, e.Rand.Uint64())
		case protowire.BytesType:
			b = protowire.AppendString(b, "grease")
		default:
			b = protowire.AppendFixed64(b, e.Rand.Uint64())
		}
	}
	m.ProtoReflect().SetUnknown(b)
	return m
}

// grease: no request of the contract holds an enum, so unknown words are what a later core can say beside fields.
func grease(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	s := service(p)
	_, err = s.Describe(ctx, greased(e, &pluginv1.DescribeRequest{}))
	if err != nil {
		return fmt.Errorf("Describe with unknown fields: %w", err)
	}
	resp, err := s.Configure(ctx, greased(e, &pluginv1.ConfigureRequest{
		Config: e.Plugin.Config, CoreVersion: "999.0.0-grease+1", CoreCapabilities: []string{"grease", "x-unknown"},
	}))
	if err := answer.Configured(resp, err); err != nil {
		return fmt.Errorf("Configure with unknown fields and capabilities: %w", err)
	}
	if _, err := s.Probe(ctx, greased(e, &pluginv1.ProbeRequest{})); err != nil {
		return fmt.Errorf("Probe with unknown fields: %w", err)
	}
	nowhere, err := e.Nowhere()
	if err != nil {
		return err
	}
	return methods(e, func(_ string, m protoreflect.MethodDescriptor, _ string) error {
		plain, with := call(ctx, p.Conn, m, about(m, nowhere)), call(ctx, p.Conn, m, greased(e, about(m, nowhere)))
		if status.Code(plain) != status.Code(with) || answer.Reason(plain) != answer.Reason(with) {
			return fmt.Errorf("%s answers %v, and with unknown fields %v", m.Name(), plain, with)
		}
		return nil
	})
}

func unserved(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	unimplemented := func(path string) error {
		err := p.Conn.Invoke(ctx, path, &emptypb.Empty{}, &emptypb.Empty{})
		if status.Code(err) != codes.Unimplemented {
			return fmt.Errorf("%s: want UNIMPLEMENTED, it answered %v", path, err)
		}
		return nil
	}
	var errs []error
	for name, d := range services() {
		if e.Manifest.Provision(name) == nil {
			errs = append(errs, unimplemented(path(d.Methods().Get(0))))
		}
	}
	errs = append(errs, unimplemented("/"+string(pluginService().FullName())+"/Later"), unimplemented("/rkt.later.v9.LaterService/Do"))
	return errors.Join(append(errs, alive(ctx, p))...)
}

func unclaimed(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	nowhere, err := e.Nowhere()
	if err != nil {
		return err
	}
	asked := 0
	err = methods(e, func(service string, m protoreflect.MethodDescriptor, capability string) error {
		if capability == "" || e.Claims(service, capability) {
			return nil
		}
		asked++
		if err := call(ctx, p.Conn, m, about(m, nowhere)); status.Code(err) != codes.Unimplemented {
			return fmt.Errorf("%s without the capability %q: want UNIMPLEMENTED, it answered %v", m.Name(), capability, err)
		}
		return nil
	})
	if err == nil && asked == 0 {
		return suite.Skip("the plugin claims every capability of its services")
	}
	return err
}

// claimed calls f with each method that the plugin has.
func claimed(e *suite.Env, f func(m protoreflect.MethodDescriptor) error) error {
	return methods(e, func(service string, m protoreflect.MethodDescriptor, capability string) error {
		if capability != "" && !e.Claims(service, capability) {
			return nil
		}
		return f(m)
	})
}

func reasons(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	if _, err := service(p).Configure(ctx, &pluginv1.ConfigureRequest{Config: []byte(notJSON)}); err != nil {
		if err := answer.Known(err); err != nil {
			return fmt.Errorf("Configure: %w", err)
		}
	}
	nowhere, err := e.Nowhere()
	if err != nil {
		return err
	}
	return claimed(e, func(m protoreflect.MethodDescriptor) error {
		if err := answer.Known(call(ctx, p.Conn, m, about(m, nowhere))); err != nil {
			return fmt.Errorf("%s: %w", m.Name(), err)
		}
		return nil
	})
}

func empty(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	nowhere, err := e.Nowhere()
	if err != nil {
		return err
	}
	return claimed(e, func(m protoreflect.MethodDescriptor) error {
		rpc, cancel := context.WithTimeout(ctx, probeLimit)
		defer cancel()
		cerr := call(rpc, p.Conn, m, about(m, nowhere))
		if err := alive(ctx, p); err != nil {
			return fmt.Errorf("%s about nothing (%v) was its end: %w", m.Name(), cerr, err)
		}
		return nil
	})
}

func large(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	configure := func(mib int) error {
		text := append([]byte(nil), e.Plugin.Config...)
		text = append(text, strings.Repeat(" ", mib<<20-len(text))...)
		_, err := service(p).Configure(ctx, &pluginv1.ConfigureRequest{Config: text})
		return err
	}
	switch err := configure(3); status.Code(err) {
	case codes.ResourceExhausted, codes.Unavailable:
		return fmt.Errorf("a message of 3 MiB: %w", err)
	}
	if err := configure(5); status.Code(err) == codes.Unavailable {
		return fmt.Errorf("a message of 5 MiB: %w", err)
	}
	if err := alive(ctx, p); err != nil {
		return fmt.Errorf("after a message of 5 MiB: %w", err)
	}
	return nil
}

func cancelled(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	for range 5 {
		rpc, cancel := context.WithTimeout(ctx, e.Between(3*time.Millisecond))
		_, err := service(p).Probe(rpc, &pluginv1.ProbeRequest{})
		cancel()
		if err := answer.Known(err); err != nil {
			return fmt.Errorf("a cancelled Probe: %w", err)
		}
		if err := alive(ctx, p); err != nil {
			return fmt.Errorf("after a cancelled Probe: %w", err)
		}
	}
	p.CutLifeline()
	if _, err := p.Wait(e.Within(endLimit)); err != nil {
		return fmt.Errorf("after cancelled calls and the end of its standard input %w", err)
	}
	return nil
}
