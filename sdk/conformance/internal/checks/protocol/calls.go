package protocol

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// services are the contract's, by the name in plugin.json.
func services() map[string]protoreflect.ServiceDescriptor {
	return map[string]protoreflect.ServiceDescriptor{
		manifest.ServiceFetcher:  fetcherv1.File_rkt_fetcher_v1_fetcher_proto.Services().Get(0),
		manifest.ServiceVerifier: verifierv1.File_rkt_verifier_v1_verifier_proto.Services().Get(0),
		manifest.ServiceNetwork:  networkv1.File_rkt_network_v1_network_proto.Services().Get(0),
		manifest.ServiceStage1:   stage1v1.File_rkt_stage1_v1_stage1_proto.Services().Get(0),
	}
}

func pluginService() protoreflect.ServiceDescriptor {
	return pluginv1.File_rkt_plugin_v1_plugin_proto.Services().Get(0)
}

// capability is the word that a plugin claims for a method; empty for those that each plugin of the kind has.
func capability(m protoreflect.MethodDescriptor) string {
	switch m.Name() {
	case "Resolve", "Convert", "Check", "Sweep", "Enter", "Attach", "Stop", "Stats":
		return strings.ToLower(string(m.Name()))
	case "AddApp", "StartApp", "StopApp", "RemoveApp":
		return "mutable"
	case "UpdateResources":
		return "resources"
	}
	return ""
}

// methods calls f with each method of the services that the plugin provides, and the capability that it wants.
func methods(e *suite.Env, f func(service string, m protoreflect.MethodDescriptor, capability string) error) error {
	for _, p := range e.Manifest.Provides {
		d, ok := services()[p.Service]
		if !ok {
			continue
		}
		for i := range d.Methods().Len() {
			m := d.Methods().Get(i)
			if err := f(p.Service, m, capability(m)); err != nil {
				return err
			}
		}
	}
	return nil
}

func path(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// about is a request about nothing: its directories are nowhere, all else is empty. An empty path would be the
// plugin's working directory, "/".
func about(m protoreflect.MethodDescriptor, nowhere string) *dynamicpb.Message {
	req := dynamicpb.NewMessage(m.Input())
	fields := m.Input().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Kind() == protoreflect.StringKind && !f.IsList() && strings.HasSuffix(string(f.Name()), "_dir") {
			req.Set(f, protoreflect.ValueOfString(nowhere))
		}
	}
	return req
}

// call makes one RPC, whatever its kind, and drops the answers.
func call(ctx context.Context, c grpc.ClientConnInterface, m protoreflect.MethodDescriptor, req proto.Message) error {
	if !m.IsStreamingServer() {
		return c.Invoke(ctx, path(m), req, dynamicpb.NewMessage(m.Output()))
	}
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path(m))
	if err != nil {
		return err
	}
	if err := errors.Join(s.SendMsg(req), s.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		err := s.RecvMsg(dynamicpb.NewMessage(m.Output()))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
