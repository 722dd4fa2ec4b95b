package broken

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

// Kinds of plugin.
const (
	kindFetcher  = "fetcher"
	kindVerifier = "verifier"
	kindNetwork  = "network"
	kindStage1   = "stage1"
)

// None is the fault of a plugin that has none.
const None = "none"

// plugin is the process.
type plugin struct {
	kind, fault string
	fds         launch.FDs
	describes   int
	configured  int
	refused     bool
	working     atomic.Bool // a Fetch is on its way
}

// is says whether the plugin has the fault.
func (p *plugin) is(fault string) bool { return p.fault == fault }

// Manifest is plugin.json of a kind with a fault.
func Manifest(kind, fault string) *manifest.Manifest {
	m := &manifest.Manifest{Schema: manifest.Schema, Name: kind + "-" + fault, Version: "1.2.3", Vendor: "the kit", Exec: "rkt-" + kind + "-" + fault}
	v := manifest.Provision{Service: "rkt." + kind, Protocols: []uint32{launch.Protocol}}
	switch kind {
	case kindFetcher:
		v.Schemes, v.MediaTypes, v.Capabilities = []string{"docker", "raw"}, []string{rawType}, []string{"resolve", "signatures", "convert"}
		if fault == "does-what-it-does-not-claim" {
			v.MediaTypes, v.Capabilities = nil, nil
		}
	case kindVerifier:
		v.MediaTypes, v.Capabilities = []string{aciType}, []string{"signers"}
	case kindNetwork:
		v.Types, v.Capabilities = []string{"default"}, []string{"check", "sweep"}
	case kindStage1:
		v.Flavor, v.Capabilities = fault, []string{"enter", "attach", "stop", "stats", "mutable", "resources"}
	}
	m.Provides = []manifest.Provision{v}
	return m
}

// Main is the whole life of a plugin, or of a supervisor. It returns the exit status.
func Main(args []string) int {
	name, _ := strings.CutPrefix(filepath.Base(args[0]), "rkt-")
	kind, fault, _ := strings.Cut(name, "-")
	p := &plugin{kind: kind, fault: fault}
	if len(args) > 1 {
		return p.command(args[1:])
	}
	if os.Getenv(launch.CookieKey) != launch.CookieValue && !p.is("serves-by-hand") {
		fmt.Fprintln(os.Stderr, "this is a plugin of rkt's conformance kit; it is started by nobody else")
		return 64
	}
	if err := p.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return 70
	}
	return 0
}

func (p *plugin) command(args []string) int {
	switch args[0] {
	case "linger":
		time.Sleep(time.Minute)
		return 0
	case "supervise":
		return p.supervise()
	case "enter":
		return p.enter(args[1:])
	}
	fmt.Fprintln(os.Stderr, "unknown argument", args[0])
	return 64
}

// serve answers RPCs until the end of standard input.
func (p *plugin) serve() error {
	var err error
	if p.fds, err = launch.Take(); err != nil {
		return err
	}
	defer os.Remove(stray())
	if p.is("needs-tmp") {
		if err := os.WriteFile(stray(), nil, 0o600); err != nil {
			return err
		}
	}
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if p.is("locks-itself-out") {
		lock := filepath.Join(dir, "lock")
		if f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		} else if f.Close(); true {
			defer os.Remove(lock)
		}
		time.Sleep(20 * time.Millisecond) // the longer it takes, the surer it is killed meanwhile
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"+strconv.Itoa(os.Getpid())))
	if err != nil {
		return err
	}
	if p.is("leaves-socket") {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
	}
	if p.is("hogs-memory") {
		hog := make([]byte, 100<<20)
		for i := range hog {
			hog[i] = 1
		}
		defer func() { _ = hog[0] }()
	}
	server := p.server()
	go func() { _ = server.Serve(l) }()
	if p.is("leaves-process") {
		cmd := exec.Command("/proc/self/exe", "linger")
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	fmt.Print(p.hello(l.Addr().String()))
	p.lifeline()
	l.Close()
	return nil
}

// stray is a file that no plugin may make. It goes with the process.
func stray() string { return filepath.Join(os.TempDir(), fmt.Sprintf("rkt-broken-%d", os.Getpid())) }

// lifeline returns at the end of standard input.
func (p *plugin) lifeline() {
	buf := make([]byte, 100)
	for {
		n, err := os.Stdin.Read(buf)
		if n > 0 && p.is("obeys-stdin") {
			return
		}
		if err != nil {
			break
		}
	}
	for p.is("deaf") || p.is("hears-no-end-while-it-works") && p.working.Load() {
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *plugin) hello(socket string) string {
	version := strconv.Itoa(launch.Protocol)
	offered := strings.Split(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), ",")
	switch {
	case p.is("takes-the-last-version"):
		version = offered[len(offered)-1]
	case p.is("claims-newer-versions") && !strings.Contains(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), "1"):
		version = offered[0]
	case p.is("greets-first"):
		return "hello!\n"
	case p.is("names-another-socket"):
		socket = "/run/s"
	}
	line := "1|" + version + "|unix|" + socket + "|grpc\n"
	if p.is("goes-on-on-stdout") {
		line += "now serving\n"
	}
	return line
}

func (p *plugin) server() *grpc.Server {
	most := 4 << 20
	if p.is("takes-small-messages") {
		most = 1 << 20
	}
	opts := []grpc.ServerOption{grpc.MaxRecvMsgSize(most), grpc.UnaryInterceptor(p.unary)}
	if p.is("answers-anything") {
		opts = append(opts, grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return fail(reason.Internal, "what?") }))
	}
	s := grpc.NewServer(opts...)
	pluginv1.RegisterPluginServiceServer(s, &identity{plugin: p})
	switch p.kind {
	case kindFetcher:
		fetcherv1.RegisterFetcherServiceServer(s, &fetcher{plugin: p})
	case kindVerifier:
		verifierv1.RegisterVerifierServiceServer(s, &verifier{plugin: p})
	case kindNetwork:
		networkv1.RegisterNetworkServiceServer(s, &network{plugin: p})
	case kindStage1:
		stage1v1.RegisterStage1ServiceServer(s, &stage1{plugin: p})
	}
	return s
}

// unary is where faults of every call are.
func (p *plugin) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if m, ok := req.(proto.Message); ok && p.is("is-strict") && len(m.ProtoReflect().GetUnknown()) > 0 {
		return nil, fail(reason.ConfigInvalid, "a field that I do not know")
	}
	if m, ok := req.(proto.Message); ok && p.is("makes-any-directory") && !strings.Contains(info.FullMethod, "PluginService") {
		makeDirectories(m.ProtoReflect())
	}
	if p.is("floods-the-log") {
		fmt.Fprint(os.Stderr, strings.Repeat("another line of the log\n", 200))
	}
	if p.is("logs-without-level") {
		fmt.Fprintln(os.Stderr, `{"@message":"called","@timestamp":"now"}`)
	}
	resp, err := h(ctx, req)
	if p.is("gives-no-reasons") && err != nil {
		return nil, status.Error(codes.Unknown, "it did not work")
	}
	if p.is("invents-reasons") && err != nil {
		return nil, fail("NO_IDEA", "it did not work")
	}
	if p.is("panics") && err != nil && !strings.Contains(info.FullMethod, "PluginService") {
		panic(err)
	}
	return resp, err
}

// makeDirectories makes every directory that a request names, and ends the plugin when there was one to make.
func makeDirectories(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if _, err := os.Stat(v.String()); err != nil && strings.HasSuffix(string(f.Name()), "_dir") && os.MkdirAll(v.String(), 0o755) == nil {
			panic("made " + v.String())
		}
		return true
	})
}

// fail is an error with a reason.
func fail(r reason.Reason, format string, args ...any) error {
	code := codes.Internal
	if r == reason.Unsupported {
		code = codes.Unimplemented
	}
	s, err := status.New(code, fmt.Sprintf(format, args...)).WithDetails(&errdetails.ErrorInfo{Domain: reason.Domain, Reason: string(r)})
	if err != nil {
		return err
	}
	return s.Err()
}

// identity is PluginService.
type identity struct {
	pluginv1.UnimplementedPluginServiceServer
	*plugin
}

func (s *identity) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	m := Manifest(s.kind, s.fault)
	d := &pluginv1.DescribeResponse{Name: m.Name, Version: m.Version, Vendor: m.Vendor}
	for _, v := range m.Provides {
		d.Provides = append(d.Provides, &pluginv1.Provision{
			Service: v.Service, Protocols: v.Protocols, Flavor: v.Flavor, Schemes: v.Schemes, MediaTypes: v.MediaTypes,
			Types: v.Types, Capabilities: v.Capabilities,
		})
	}
	if s.is("is-another-version") {
		d.Version = "1.2.4"
	}
	if s.describes++; s.is("changes-its-name") && s.describes > 1 {
		d.Vendor = "somebody else"
	}
	return d, nil
}

func (s *identity) Configure(_ context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	var words map[string]string
	if len(req.GetConfig()) > 0 && json.Unmarshal(req.GetConfig(), &words) != nil && !s.is("takes-any-configuration") {
		s.refused = true
		return nil, fail(reason.ConfigInvalid, "no object of words")
	}
	if len(words) == 0 && s.is("wants-a-configuration") {
		return nil, fail(reason.ConfigInvalid, "no word was given")
	}
	if s.is("remembers-a-bad-configuration") && s.refused {
		return nil, fail(reason.ConfigInvalid, "the configuration was bad")
	}
	if _, err := os.Stat(req.GetCacheDir()); req.GetCacheDir() != "" && err != nil && s.is("needs-its-cache") {
		return nil, fail(reason.Internal, "%v", err)
	}
	return &pluginv1.ConfigureResponse{}, nil
}

func (s *identity) Probe(ctx context.Context, _ *pluginv1.ProbeRequest) (*pluginv1.ProbeResponse, error) {
	if s.is("ends-when-cancelled") {
		select {
		case <-ctx.Done():
			panic("cancelled")
		case <-time.After(50 * time.Millisecond):
		}
	}
	f := &pluginv1.Finding{Id: "moon", Summary: "the moon is not full", Remedy: "wait"}
	if s.is("has-no-remedy") {
		f.Remedy = ""
	}
	if s.is("probes-by-chance") {
		f.Id = strconv.FormatInt(time.Now().UnixNano(), 10)
	}
	return &pluginv1.ProbeResponse{Findings: []*pluginv1.Finding{f}}, nil
}
