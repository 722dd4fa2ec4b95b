package fence

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rkt/rkt/v2"

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	Module       *struct{ Path string }
	Doc          string
	GoFiles      []string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
}

func ours(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Doc,GoFiles,Dir,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = "../../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(out); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// rule forbids packages below from to reach packages below any of not, directly or through others.
type rule struct {
	from   []string
	except []string // packages below from that the rule does not bind
	not    []string
	but    []string // packages below not that may be reached all the same, these and none below them
	direct bool     // only what the package itself imports counts
	why    string
}

var (
	goPlugin = "github.com/hashicorp/go-plugin"
	hclog    = "github.com/hashicorp/go-hclog"
	grpc     = "google.golang.org/grpc"
	viper    = "github.com/spf13/viper"
	cgroups  = "github.com/containerd/cgroups"
	protobuf = "google.golang.org/protobuf"
	wire     = module + "/proto/rkt"
)

var rules = []rule{
	{from: []string{"core", "cmd"}, not: []string{module + "/plugins", module + "/sdk"}, but: []string{module + "/sdk/example"},
		why: "core must build, and be reviewed, without any plugin (sdk/example is text: it imports nothing, see below)"},
	{from: []string{"plugins"}, not: []string{module + "/core", module + "/cmd", viper},
		why: "a plugin is what a vendor could have written: sdk and proto alone"},
	{from: []string{"plugins"}, not: []string{goPlugin, hclog, grpc, wire}, direct: true,
		why: "the sdk hides the transport; a plugin that reaches around it cannot follow its changes"},
	{from: []string{"sdk"}, not: []string{module + "/core", module + "/plugins", module + "/cmd", viper},
		why: "vendors must not pull the host's program into theirs"},
	{from: []string{"sdk"}, except: []string{"sdk/linuxpod", "sdk/vmguest", "sdk/vmhost"}, not: []string{cgroups},
		why: "cgroups are made where a pod runs in Linux namespaces: by stage1-linux and in the guest of a VM"},
	{from: []string{"proto"}, not: []string{module + "/core", module + "/sdk", module + "/plugins", module + "/cmd"},
		why: "the contract depends on nobody"},
	{from: []string{"proto/poddir", "proto/launch", "proto/manifest", "proto/ociapp"}, not: []string{grpc, protobuf},
		why: "supervisors read these, and must stay small"},
	{from: []string{"sdk/supervise", "plugins/stage1-linux/supervisor", "sdk/linuxpod/host", "sdk/linuxpod/pidone", "sdk/linuxpod/enter", "sdk/linuxpod/tty"}, not: []string{grpc, protobuf, "net/http", goPlugin},
		why: "every running pod holds a supervisor in memory (reference: 8 MiB a pod)"},
	{from: []string{"core/pod", "core/store", "core/reclaim", "core/cgroup", "core/image"}, not: []string{module + "/core/plugin", grpc, goPlugin},
		why: "the floor (list, status, stop --force, gc) works with no plugin able to start"},
	{from: []string{"core/fetch"}, not: []string{module + "/core/verify", module + "/core/network", module + "/core/execute"},
		why: "the four steps meet only in core/engine"},
	{from: []string{"core/verify"}, not: []string{module + "/core/fetch", module + "/core/network", module + "/core/execute"},
		why: "the four steps meet only in core/engine"},
	{from: []string{"core/network"}, not: []string{module + "/core/fetch", module + "/core/verify", module + "/core/execute"},
		why: "the four steps meet only in core/engine"},
	{from: []string{"core/execute"}, not: []string{module + "/core/fetch", module + "/core/verify", module + "/core/network"},
		why: "the four steps meet only in core/engine"},
	{from: []string{"core", "cmd", "sdk", "plugins"}, except: []string{"core/schema"}, not: []string{"github.com/google/jsonschema-go"}, direct: true,
		why: "one door a dependency: its errors speak of the schema, core/schema's of the document"},
	{from: []string{"core/lock", "core/failure", "core/schema"}, not: []string{module + "/core/plugin", grpc, goPlugin},
		why: "what an operator reads when a plugin cannot start must not need what starts plugins"},
	{from: []string{"core", "cmd", "sdk", "plugins"}, except: []string{"core/config"}, not: []string{viper}, direct: true,
		why: "one door a dependency: viper lower-cases keys, so nobody else may read configuration with it"},
	{from: []string{"core", "cmd", "sdk", "plugins"}, except: []string{"core/cgroup", "sdk/linuxpod"}, not: []string{cgroups}, direct: true,
		why: "one door a dependency"},
	{from: []string{"core", "cmd", "sdk", "plugins"}, except: []string{"core/plugin", "sdk/internal/serve"}, not: []string{goPlugin, hclog}, direct: true,
		why: "one door a dependency"},
	{from: []string{"core", "cmd", "sdk", "plugins"}, except: []string{"sdk/vmguest/agent"}, not: []string{"github.com/hashicorp/yamux"}, direct: true,
		why: "one door a dependency: no foreign type in the API that VM flavors and guests share"},
	{from: []string{"cmd/rkt"}, except: []string{"cmd/rkt/internal/reference"}, not: []string{module + "/cmd/rkt/internal/reference"},
		why: "rkt does not carry what writes its manual: only the build with -tags=reference links it"},
	{from: []string{"core", "cmd", "proto", "sdk", "plugins"}, not: []string{"testing", "net/http/httptest"}, direct: true,
		why: "its flags and its memory are for tests; sdk/conformance takes a *testing.T as an interface, because its command is no test"},
	{from: []string{"core", "cmd", "plugins"}, not: []string{module + "/sdk/conformance"},
		why: "the kit tests plugins, and is a part of none"},
	{from: []string{"cmd"}, not: []string{"os/exec", "syscall"}, direct: true,
		why: "spawning and becoming processes have owners in core"},
}

func below(importPath string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool {
		if !strings.Contains(r, ".") && !strings.HasPrefix(r, "net/") && !strings.HasPrefix(r, "os/") && r != "syscall" && r != "testing" {
			r = path.Join(module, r)
		}
		return importPath == r || strings.HasPrefix(importPath, r+"/")
	})
}

func TestImports(t *testing.T) {
	pkgs := ours(t)
	for _, r := range rules {
		for _, p := range pkgs {
			if !below(p.ImportPath, r.from) || below(p.ImportPath, r.except) {
				continue
			}
			reached := p.Deps
			if r.direct {
				reached = p.Imports
			}
			for _, d := range reached {
				if below(d, r.not) && !slices.Contains(r.but, d) && !strings.HasPrefix(p.ImportPath, d) {
					t.Errorf("%s reaches %s: %s", p.ImportPath, d, r.why)
				}
			}
		}
	}
}

// TestExampleIsText: rkt links sdk/example to hand its sources out, and must not link the sdk with it.
func TestExampleIsText(t *testing.T) {
	found := false
	for _, p := range ours(t) {
		if p.ImportPath == module+"/sdk/example" {
			found = true
			if !slices.Equal(p.Imports, []string{"embed"}) {
				t.Errorf("%s imports %q, and may import embed alone", p.ImportPath, p.Imports)
			}
		}
	}
	if !found {
		t.Error("there is no sdk/example")
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range ours(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
