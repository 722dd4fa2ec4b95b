package plugin

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/rkt/rkt/v2/proto/launch"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// Grease is what a later minor of the contract may add, sent today, so that a plugin which chokes on what it does not
// know is found before that minor is released (RFC 8701 has the word). RKT_GREASE=1 turns it on:
//
//	every message   unknown fields of each wire type, in every message below it too
//	every enum      a value that nobody has defined, where core says none
//	Configure       a capability of core's that nobody has defined
//	every call      an unknown header
//	start           an unknown variable, an unknown descriptor in RKT_FDS, an unknown major to choose from
//
// What a plugin answers must not change by it.

// greaseField is above every number that the contract will use.
const greaseField protowire.Number = 500_000

const (
	greaseWord  = "rkt-grease"
	greaseEnv   = "RKT_GREASE_SAYS=ignore what you do not know"
	greaseEnum  = 31_337
	greaseMajor = 31_337
)

// greased is a connection that adds grease to what core sends.
type greased struct{ grpc.ClientConnInterface }

func (g greased) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return g.ClientConnInterface.Invoke(greaseHeader(ctx), method, greaseMessage(args), reply, opts...)
}

func (g greased) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := g.ClientConnInterface.NewStream(greaseHeader(ctx), d, method, opts...)
	return greasedStream{s}, err
}

type greasedStream struct{ grpc.ClientStream }

func (s greasedStream) SendMsg(m any) error { return s.ClientStream.SendMsg(greaseMessage(m)) }

func greaseHeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, greaseWord, "1")
}

// greaseMessage returns a greased copy: the caller's message may be sent again, or read.
func greaseMessage(m any) any {
	pm, ok := m.(proto.Message)
	if !ok {
		return m
	}
	out := proto.Clone(pm)
	if c, ok := out.(*pluginv1.ConfigureRequest); ok {
		c.CoreCapabilities = append(c.CoreCapabilities, greaseWord)
	}
	grease(out.ProtoReflect())
	return out
}

func grease(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.Enum() != nil && f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOfEnum(greaseEnum))
		case f.Enum() != nil && !m.Has(f):
			m.Set(f, protoreflect.ValueOfEnum(greaseEnum))
		case f.IsMap() && f.MapValue().Message() != nil:
			m.Get(f).Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { grease(v.Message()); return true })
		case f.IsList() && f.Message() != nil:
			for j := range m.Get(f).List().Len() {
				grease(m.Get(f).List().Get(j).Message())
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil && m.Has(f):
			grease(m.Get(f).Message())
		}
	}
	m.SetUnknown(append(m.GetUnknown(), greaseFields()...))
}

// greaseFields are one field of each wire type that is in use; a group is what even proto3 must be able to skip.
func greaseFields() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, greaseField, protowire.VarintType), 1<<63)
	b = protowire.AppendFixed32(protowire.AppendTag(b, greaseField+1, protowire.Fixed32Type), 1)
	b = protowire.AppendFixed64(protowire.AppendTag(b, greaseField+2, protowire.Fixed64Type), 1)
	b = protowire.AppendString(protowire.AppendTag(b, greaseField+3, protowire.BytesType), greaseWord+"\xff")
	b = protowire.AppendTag(b, greaseField+4, protowire.StartGroupType)
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 1)
	return protowire.AppendTag(b, greaseField+4, protowire.EndGroupType)
}

// greaseStart adds what nobody has asked for to the environment, its list of majors, and the donated descriptors. The
// caller closes the one that it opens.
func greaseStart(o *Options, env []string) ([]string, *os.File, error) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	o.FDs = append(slices.Clone(o.FDs), FD{Name: greaseWord, File: f})
	out := append(slices.Clone(env), greaseEnv)
	for i, v := range out {
		if strings.HasPrefix(v, launch.EnvProtocols+"=") {
			out[i] += fmt.Sprintf(",%d", greaseMajor)
		}
	}
	return out, f, nil
}
