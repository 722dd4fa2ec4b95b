package stage1

import (
	"os"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/internal/serve"
)

// Main is the plugin's main function. It does not return.
func Main(info Info, impl Stage1) {
	if len(os.Args) > 1 && os.Args[1] == superviseArg {
		os.Exit(superviseMain(info, impl)) // before anything of a plugin: the pod pays for what runs here
	}
	serve.Main(serve.Plugin{
		Manifest: Manifest(info, impl),
		Impl:     impl,
		Schema:   info.ConfigSchema,
		Register: func(r serve.Registrar, fds launch.FDs) {
			s := &server{impl: impl, netns: -1}
			if fd, ok := fds[launch.FDNetns]; ok {
				s.netns = fd
			}
			stage1v1.RegisterStage1ServiceServer(r, s)
		},
		First: []proto.Message{
			&stage1v1.ValidateRequest{PodDir: "/"}, &stage1v1.ValidateResponse{}, &stage1v1.RunRequest{PodDir: "/"},
			&stage1v1.ExecPlan{Args: []string{""}, Env: map[string]string{"": ""}},
		},
	})
}

// Manifest is what Main prints for `manifest`. Capabilities come from what impl can do.
func Manifest(info Info, impl Stage1) manifest.Manifest {
	if info.Flavor == "" {
		info.Flavor = strings.TrimPrefix(info.Name, "stage1-")
	}
	return manifest.Manifest{
		Schema: manifest.Schema, Name: info.Name, Version: info.Version, Vendor: info.Vendor, Exec: info.Exec,
		Programs: info.Programs,
		Provides: []manifest.Provision{{
			Service: manifest.ServiceStage1, Protocols: []uint32{launch.Protocol}, Flavor: info.Flavor,
			Capabilities: capabilities(impl),
		}},
		Requires: serve.Requires(info.Requires), ConfigSchema: serve.SchemaName(info.ConfigSchema),
	}
}

func capabilities(impl Stage1) []string {
	var caps []string
	add := func(name string, ok bool) {
		if ok {
			caps = append(caps, name)
		}
	}
	_, ok := impl.(Enterer)
	add("enter", ok)
	_, ok = impl.(Attacher)
	add("attach", ok)
	_, ok = impl.(Stopper)
	add("stop", ok)
	_, ok = impl.(Statser)
	add("stats", ok)
	_, ok = impl.(Mutator)
	add("mutable", ok)
	_, ok = impl.(Resizer)
	add("resources", ok)
	_, ok = impl.(Cleaner)
	add("cleanup", ok)
	return caps
}
