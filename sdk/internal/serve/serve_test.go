package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	sdk "github.com/rkt/rkt/v2/sdk/plugin"
)

// The test binary is the plugin when FAKE is set.
func TestMain(m *testing.M) {
	if os.Getenv("FAKE") != "" {
		fetcher.Main(fetcher.Info{Name: "fetcher-fake", Version: "1.2.3", Schemes: []string{"fake"}, MediaTypes: []string{"t"}}, fake{})
	}
	os.Exit(m.Run())
}

type fake struct{}

var (
	_ fetcher.Fetcher  = fake{}
	_ fetcher.Resolver = fake{}
	_ sdk.Prober       = fake{}
)

func (fake) Probe(context.Context) ([]sdk.Finding, error) {
	return []sdk.Finding{{ID: "kvm", Required: true, Summary: "no /dev/kvm", Remedy: "modprobe kvm"}}, nil
}

func (fake) Fetch(ctx context.Context, req fetcher.Request, p *fetcher.Progress) (fetcher.Result, error) {
	for i := range int64(1000) {
		p.Report(fetcher.PhaseDownload, "blob", i, 999)
	}
	p.Report(fetcher.PhaseDownload, "blob", 5, 999) // going back is not passed on
	return fetcher.Result{Image: fetcher.Descriptor{Digest: "sha256:x", Size: 7}, Canonical: req.Reference}, nil
}

func (fake) Resolve(ctx context.Context, req fetcher.ResolveRequest) (fetcher.Resolution, error) {
	switch req.Reference {
	case "panic":
		var m map[string]int
		m["x"] = 1
	case "missing":
		return fetcher.Resolution{}, fmt.Errorf("look at %s: %w", req.Reference, fetcher.NotFound("manifest unknown").With("tag", "x"))
	case "plain":
		return fetcher.Resolution{}, errors.New("disk \xff full")
	case "throttled":
		return fetcher.Resolution{}, fetcher.Throttled("slow down").RetryAfter(2 * time.Second)
	case "wait", "stubborn":
		slog.Info("waiting", "for", req.Reference)
		<-ctx.Done()
		if req.Reference == "stubborn" {
			select {}
		}
		return fetcher.Resolution{}, ctx.Err()
	case "print":
		fmt.Println(strings.Repeat("stray ", 100_000)) // more than a pipe holds
	}
	return fetcher.Resolution{Canonical: req.Reference, Image: fetcher.Descriptor{Digest: "sha256:y"}}, nil
}

// process is a plugin started by hand, as a host in any language would.
type process struct {
	cmd      *exec.Cmd
	lifeline io.Closer
	stderr   *output
	socket   string
	conn     *grpc.ClientConn
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func startFake(t *testing.T) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &process{cmd: exec.Command("/proc/self/exe"), stderr: new(output)}
	p.cmd.Args = []string{"rkt-fetcher-fake"}
	p.cmd.Env = []string{"FAKE=1", launch.CookieKey + "=" + launch.CookieValue, launch.EnvProtocols + "=1", launch.EnvSocketDir + "=" + dir}
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lifeline = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 5 || parts[0] != "1" || parts[1] != "1" || parts[2] != "unix" || parts[4] != "grpc" || filepath.Dir(parts[3]) != dir {
		t.Fatalf("handshake %q", line)
	}
	p.socket = parts[3]
	p.conn, err = grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close() })
	return p
}

func TestDescribeIsTheManifest(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "manifest")
	cmd.Env = []string{"FAKE=1"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Provision(manifest.ServiceFetcher)
	if m.Exec != "rkt-fetcher-fake" || !reflect.DeepEqual(p.Capabilities, []string{"resolve"}) || p.MediaTypes != nil {
		t.Errorf("%s", out)
	}
	d, err := pluginv1.NewPluginServiceClient(startFake(t).conn).Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d.GetName() != m.Name || d.GetVersion() != m.Version || len(d.GetProvides()) != 1 || !reflect.DeepEqual(d.GetProvides()[0].GetSchemes(), p.Schemes) {
		t.Errorf("%v is not %s", d, out)
	}
}

func TestErrors(t *testing.T) {
	p := startFake(t)
	c := fetcherv1.NewFetcherServiceClient(p.conn)
	for _, e := range []struct {
		ref, message string
		code         codes.Code
		reason       reason.Reason
		meta         map[string]string
	}{
		{"missing", "look at missing: manifest unknown", codes.NotFound, reason.ImageNotFound, map[string]string{"tag": "x"}},
		{"plain", "disk \uFFFD full", codes.Internal, reason.Internal, nil},
		{"throttled", "slow down", codes.ResourceExhausted, reason.RegistryThrottled, map[string]string{"retry_after": "2s"}},
		{"panic", "panic in /rkt.fetcher.v1.FetcherService/Resolve: assignment to entry in nil map", codes.Internal, reason.Internal, nil},
	} {
		_, err := c.Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: e.ref})
		s := status.Convert(err)
		if s.Code() != e.code || s.Message() != e.message {
			t.Errorf("%s: %v", e.ref, s)
		}
		info, ok := s.Details()[0].(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != "rkt" || info.GetReason() != string(e.reason) || len(info.GetMetadata()) != len(e.meta) || info.GetMetadata()["tag"] != e.meta["tag"] {
			t.Errorf("%s: %v", e.ref, s.Details())
		}
	}
	// The panic was one call's; the process goes on.
	if _, err := c.Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: "ok"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Convert(t.Context(), &fetcherv1.ConvertRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("an ability that is not there: %v", err)
	}
	if _, err := c.Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: strings.Repeat("x", 5<<20)}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of 5 MiB: %v", err)
	}
	if _, err := c.Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: "print"}); err != nil {
		t.Errorf("prints to stdout: %v", err)
	}
	pc := pluginv1.NewPluginServiceClient(p.conn)
	if _, err := pc.Configure(t.Context(), &pluginv1.ConfigureRequest{CacheDir: "/x"}); err != nil {
		t.Error(err)
	}
	if _, err := pc.Configure(t.Context(), &pluginv1.ConfigureRequest{Config: []byte("{}")}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("configuration for one that has none: %v", err)
	}
	if f, err := pc.Probe(t.Context(), &pluginv1.ProbeRequest{}); err != nil || f.GetFindings()[0].GetRemedy() != "modprobe kvm" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestProgress(t *testing.T) {
	stream, err := fetcherv1.NewFetcherServiceClient(startFake(t).conn).Fetch(t.Context(), &fetcherv1.FetchRequest{Reference: "fake://x"})
	if err != nil {
		t.Fatal(err)
	}
	last, events := int64(-1), 0
	for {
		e, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if d := e.GetDone(); d != nil {
			if d.GetImage().GetSize() != 7 || last != 999 || events > 100 {
				t.Errorf("%v after %d of %d events", d, last, events)
			}
			break
		}
		if e.GetProgress().GetDone() <= last {
			t.Errorf("%d after %d", e.GetProgress().GetDone(), last)
		}
		last = e.GetProgress().GetDone()
		events++
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Error(err)
	}
}

func TestLifeline(t *testing.T) {
	for _, ref := range []string{"", "wait", "stubborn"} {
		t.Run("during "+ref, func(t *testing.T) {
			p := startFake(t)
			c := fetcherv1.NewFetcherServiceClient(p.conn)
			called := make(chan error, 1)
			if ref == "" {
				called <- nil
			} else {
				go func() {
					_, err := c.Resolve(context.Background(), &fetcherv1.ResolveRequest{Reference: ref})
					called <- err
				}()
				for t0 := time.Now(); !strings.Contains(p.stderr.String(), "waiting"); time.Sleep(time.Millisecond) {
					if time.Since(t0) > 10*time.Second {
						t.Fatal("the call never arrived")
					}
				}
			}
			t0 := time.Now()
			p.lifeline.Close()
			p.cmd.Wait()
			if d := time.Since(t0); d > 5*time.Second { // the contract says one second; this machine may be busy
				t.Errorf("took %v", d)
			}
			<-called
			if _, err := os.Stat(p.socket); ref != "stubborn" && !errors.Is(err, os.ErrNotExist) {
				t.Error("the socket is still there")
			}
			if code := p.cmd.ProcessState.ExitCode(); (code == 0) != (ref != "stubborn") {
				t.Errorf("exit status %d\n%s", code, p.stderr)
			}
		})
	}
}

func TestLogForm(t *testing.T) {
	p := startFake(t)
	c := fetcherv1.NewFetcherServiceClient(p.conn)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _ = c.Resolve(ctx, &fetcherv1.ResolveRequest{Reference: "wait"})
	p.lifeline.Close()
	p.cmd.Wait()
	for _, line := range strings.Split(strings.TrimSpace(p.stderr.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if m["@level"] != "info" || m["@message"] != "waiting" || m["for"] != "wait" || m["@module"] != "fetcher-fake" {
			t.Errorf("%s", line)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(m["@timestamp"])); err != nil {
			t.Error(err)
		}
	}
}

func TestByHand(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 64, "fetcher-fake 1.2.3 is a plugin of rkt"},
		{[]string{"-h"}, 0, "is a plugin of rkt"},
		{[]string{"version"}, 0, "fetcher-fake 1.2.3\n"},
		{[]string{"run"}, 64, `unknown argument "run"`},
	} {
		cmd := exec.Command("/proc/self/exe", c.args...)
		cmd.Env = []string{"FAKE=1"}
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: %d %s", c.args, cmd.ProcessState.ExitCode(), out)
		}
	}
}

// The handshake is go-plugin's: its own client, as it comes, starts a plugin of this sdk.
func TestGoPluginClient(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"FAKE=1", launch.EnvSocketDir + "=" + dir}
	// go-plugin gives the child this process's stdin; a pipe held open is the lifeline.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	old := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = old }()
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: launch.CookieKey, MagicCookieValue: launch.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{1: {"fetcher": &clientPlugin{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd:              cmd, SkipHostEnv: true, Logger: hclog.NewNullLogger(),
	})
	defer c.Kill()
	proto, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Dispense("fetcher")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := raw.(fetcherv1.FetcherServiceClient).Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: "hello"})
	if err != nil || resp.GetCanonical() != "hello" {
		t.Errorf("%v, %v", resp, err)
	}
}

type clientPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (*clientPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (*clientPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return fetcherv1.NewFetcherServiceClient(c), nil
}
