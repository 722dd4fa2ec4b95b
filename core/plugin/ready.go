package plugin

import (
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// ready uses the messages of a kind's first calls once, while the plugin comes up and nobody has anything else to do:
// the first use of a type costs some tenths of a millisecond, and a start waits for several in a row.
func ready(k Kind) {
	first := []proto.Message{
		&pluginv1.DescribeRequest{}, &pluginv1.DescribeResponse{Provides: []*pluginv1.Provision{{Protocols: []uint32{1}}}},
		&pluginv1.ConfigureRequest{CacheDir: "/"}, &pluginv1.ConfigureResponse{},
	}
	if k == KindStage1 {
		first = append(first, &stage1v1.ValidateRequest{PodDir: "/"}, &stage1v1.ValidateResponse{},
			&stage1v1.RunRequest{PodDir: "/"}, &stage1v1.ExecPlan{Args: []string{""}, Env: map[string]string{"": ""}})
	}
	for _, m := range first {
		if b, err := proto.Marshal(m); err == nil {
			_ = proto.Unmarshal(b, m.ProtoReflect().New().Interface())
		}
	}
}
