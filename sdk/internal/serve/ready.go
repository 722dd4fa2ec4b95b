package serve

import (
	"context"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// ready uses messages once, while core is still reading the handshake: the first use of a type costs some tenths of a
// millisecond, and a start waits for several in a row.
func (p Plugin) ready() {
	first := []proto.Message{&pluginv1.DescribeRequest{}, &pluginv1.ConfigureRequest{CacheDir: "/"}, &pluginv1.ConfigureResponse{}}
	if said, err := (&identity{plugin: p}).Describe(context.Background(), nil); err == nil {
		first = append(first, said)
	}
	for _, m := range append(first, p.First...) {
		if b, err := proto.Marshal(m); err == nil {
			_ = proto.Unmarshal(b, m.ProtoReflect().New().Interface())
		}
	}
}
