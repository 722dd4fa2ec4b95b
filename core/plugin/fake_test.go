package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// The test binary plays every plugin: the environment of a plugin is not ours to set, so the name it is called
// by, fake-BEHAVIOUR, says what it does. It speaks the wire by itself, as a plugin in another language would.

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "be-core" {
		beCore(os.Args[2], os.Args[3])
	}
	if b, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "fake-"); ok {
		fake(b)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func fake(behaviour string) {
	if behaviour == "stray" { // started by fake-forks and fake-daemon
		select {}
	}
	if behaviour == "between" { // started by fake-doubly
		cmd := exec.Command("/proc/self/exe")
		cmd.Args[0], cmd.Env = "fake-stray", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if cmd.Start() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(launch.CookieKey) != launch.CookieValue {
		fmt.Fprintln(os.Stderr, "no cookie")
		os.Exit(64)
	}
	if behaviour == "deaf" {
		signal.Ignore() // all that can be: SIGTERM, SIGINT, SIGHUP
	} else {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	proto := "1"
	switch behaviour {
	case "garbage":
		fmt.Println("hello, I am a plugin")
		select {}
	case "endless":
		b := []byte(strings.Repeat("x", 1<<16))
		for {
			os.Stdout.Write(b)
		}
	case "crash-start":
		fmt.Fprintln(os.Stderr, `{"@level":"error","@message":"no configuration","error":"file is \u001b[31mred","@timestamp":"x"}`)
		os.Exit(3)
	case "panics":
		panic("out of coffee")
	case "silent":
		select {}
	case "closes-stdout":
		os.Stdout.Close()
		select {}
	case "newer":
		proto = "2"
	case "elsewhere":
		fmt.Printf("1|1|unix|/run/systemd/private|grpc|\n")
		select {}
	case "tcp":
		fmt.Printf("1|1|tcp|127.0.0.1:1|grpc|\n")
		select {}
	}
	path := filepath.Join(os.Getenv(launch.EnvSocketDir), "sock")
	if behaviour == "proxied" {
		// The socket is served by a child: a wrapper script, or a stranger.
		cmd := exec.Command("/proc/self/exe")
		cmd.Args[0], cmd.Env = "fake-good", os.Environ()
		out, _ := cmd.StdoutPipe()
		in, _ := cmd.StdinPipe()
		defer in.Close()
		if err := cmd.Start(); err != nil {
			os.Exit(1)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		fmt.Print(line)
		select {}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch behaviour {
	case "closes-socket":
		l.Close()
	case "mute":
		l = muteListener{l}
	}
	g := grpc.NewServer(grpc.MaxSendMsgSize(2<<30), grpc.MaxRecvMsgSize(4<<20))
	s := &fakeServer{behaviour: behaviour}
	majors := []uint32{1}
	if list, ok := strings.CutPrefix(behaviour, "majors-"); ok {
		majors, proto = fakeMajors(list), "0"
		for _, n := range majors { // ascending: the greatest that is offered
			if slices.Contains(strings.Split(os.Getenv(launch.EnvProtocols), ","), fmt.Sprint(n)) {
				proto = fmt.Sprint(n)
			}
		}
		s.majors = majors
	}
	for _, n := range majors {
		g.RegisterService(inMajor(n, pluginv1.PluginService_ServiceDesc), s)
		g.RegisterService(inMajor(n, fetcherv1.FetcherService_ServiceDesc), &fakeFetcher{behaviour: behaviour, major: n})
		g.RegisterService(inMajor(n, stage1v1.Stage1Service_ServiceDesc), &fakeStage1{})
	}
	fmt.Printf("1|%s|unix|%s|grpc|\n", proto, path)
	if behaviour == "chatty" {
		fmt.Println("and now for something completely different")
	}
	if behaviour == "gigabyte" {
		serveGigabyte(l, g)
	}
	_ = g.Serve(l)
	select {}
}

// muteListener takes connections and says nothing on them.
type muteListener struct{ net.Listener }

func (l muteListener) Accept() (net.Conn, error) {
	for {
		if _, err := l.Listener.Accept(); err != nil {
			return nil, err
		}
	}
}

// serveGigabyte answers Resolve with a message of 1 GB, as far as anybody reads it, and has no such thing in memory:
// a limit on its own memory is in nobody's way.
func serveGigabyte(l net.Listener, g *grpc.Server) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/Resolve") {
			g.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		chunk := make([]byte, 1<<20)
		_, err := w.Write([]byte{0, 0x40, 0, 0, 0}) // not compressed, 1 GiB
		for i := 0; i < 1024 && err == nil; i++ {
			_, err = w.Write(chunk)
		}
	})
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go new(http2.Server).ServeConn(c, &http2.ServeConnOpts{Handler: handler})
	}
}

// beCore launches what is installed in dir, says the plugin's pid, and waits to be killed.
func beCore(dir, kind string) {
	k := KindStage1
	if kind == "fetcher" {
		k = KindFetcher
	}
	e, err := OpenDir(filepath.Join(dir, "fake"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p, err := Launch(context.Background(), e, options(dir, k))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.run.child.pid)
	select {}
}

// fakeMajors reads "1-2".
func fakeMajors(list string) []uint32 {
	var out []uint32
	for _, s := range strings.Split(list, "-") {
		n, _ := strconv.Atoi(s)
		out = append(out, uint32(n))
	}
	return out
}

// inMajor is the service as package rkt.<area>.vN would have it.
func inMajor(n uint32, d grpc.ServiceDesc) *grpc.ServiceDesc {
	d.ServiceName = strings.Replace(d.ServiceName, ".v1.", fmt.Sprintf(".v%d.", n), 1)
	return &d
}

type fakeServer struct {
	pluginv1.UnimplementedPluginServiceServer
	behaviour string
	majors    []uint32 // of every service; nil: 1
}

func (s *fakeServer) Describe(ctx context.Context, _ *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	d := &pluginv1.DescribeResponse{Name: "fake", Version: "1.2.3", Provides: []*pluginv1.Provision{
		{Service: manifest.ServiceFetcher, Protocols: []uint32{1}, Schemes: []string{"fake", "other"}},
		{Service: manifest.ServiceStage1, Protocols: []uint32{1}, Flavor: "fake"},
		{Service: manifest.ServiceNetwork, Protocols: []uint32{1}},
		{Service: manifest.ServiceVerifier, Protocols: []uint32{1}},
		{Service: "rkt.future", Protocols: []uint32{7}},
	}}
	for _, p := range d.Provides[:4] {
		if s.majors != nil {
			p.Protocols = s.majors
		}
	}
	// Grease: a field that no version knows must not disturb.
	d.ProtoReflect().SetUnknown([]byte{0xa2, 0x06, 0x03, 'a', 'b', 'c'})
	switch s.behaviour {
	case "lies-name":
		d.Name = "somebody-else"
	case "lies-version":
		d.Version = "9.9.9"
	case "lies-provides":
		d.Provides[0].Schemes = []string{"docker"}
	case "hang-describe":
		<-ctx.Done()
		select {}
	}
	return d, nil
}

func (s *fakeServer) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if s.behaviour == "picky" {
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{
			{Severity: 77, Summary: "an unknown severity is a remark"},
			{Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Field: "mirrors[0]", Summary: "no such host"},
		}}, nil
	}
	return &pluginv1.ConfigureResponse{}, nil
}

// facts is what a plugin can see of its own confinement.
type facts struct {
	UID, GID, PID  int
	Groups         []int
	Args, Env      []string
	Status         map[string]string // of /proc/self/status
	Sid            bool
	Links          int // network devices
	WriteLayout    string
	WriteElsewhere string
	NoFile, Data   uint64
	FDs            []string
}

func gather(layout, elsewhere string) facts {
	f := facts{UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(), Args: os.Args, Env: os.Environ(), Status: map[string]string{}}
	f.Groups, _ = os.Getgroups()
	b, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			f.Status[k] = strings.TrimSpace(v)
		}
	}
	sid, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	f.Sid = int(sid) == os.Getpid()
	ifs, _ := net.Interfaces()
	f.Links = len(ifs)
	try := func(dir string) string {
		if dir == "" {
			return ""
		}
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
			return err.Error()
		}
		return "ok"
	}
	f.WriteLayout, f.WriteElsewhere = try(layout), try(elsewhere)
	var l syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	f.NoFile = l.Max
	_ = syscall.Getrlimit(2, &l)
	f.Data = l.Max
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		to, _ := os.Readlink("/proc/self/fd/" + n.Name())
		f.FDs = append(f.FDs, n.Name()+" "+to)
	}
	return f
}

type fakeFetcher struct {
	fetcherv1.UnimplementedFetcherServiceServer
	behaviour string
	major     uint32
	asked     int
}

func (s *fakeFetcher) Resolve(ctx context.Context, r *fetcherv1.ResolveRequest) (*fetcherv1.ResolveResponse, error) {
	if strings.HasPrefix(s.behaviour, "majors-") {
		return &fetcherv1.ResolveResponse{Canonical: fmt.Sprintf("asked in %d, offered %s", s.major, os.Getenv(launch.EnvProtocols))}, nil
	}
	if times, ok := strings.CutPrefix(s.behaviour, "busy-"); ok {
		n, _ := strconv.Atoi(times)
		if s.asked++; s.asked <= n {
			busy, _ := status.New(codes.Aborted, "the leases are locked").WithDetails(&errdetails.ErrorInfo{Domain: reason.Domain, Reason: string(reason.Busy)})
			return nil, busy.Err()
		}
		return &fetcherv1.ResolveResponse{}, nil
	}
	switch s.behaviour {
	case "hang":
		select {}
	case "crash-rpc":
		fmt.Fprintln(os.Stderr, "about to fall over")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		os.Exit(9) // init of a pid namespace cannot kill itself
	case "big":
		return &fetcherv1.ResolveResponse{Canonical: strings.Repeat("x", 256<<20)}, nil
	case "flood":
		line := []byte(strings.Repeat("y", 100) + "\n")
		for range 500_000 {
			os.Stderr.Write(line)
		}
		os.Stderr.Write([]byte(strings.Repeat("z", 8<<20)))
	case "newlines":
		b := []byte(strings.Repeat("\n", 1<<16))
		for range 64 {
			os.Stderr.Write(b)
		}
	case "doubly":
		// A daemon as it is done: forked twice, in a session of its own, with nothing of its parent's.
		cmd := exec.Command("/proc/self/exe")
		cmd.Args[0], cmd.Env = "fake-between", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Run(); err != nil {
			return nil, err
		}
	case "forks", "daemon":
		for range 3 {
			cmd := exec.Command("/proc/self/exe")
			cmd.Args[0] = "fake-stray"
			cmd.Env = []string{}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
			if s.behaviour == "daemon" {
				cmd.Env = os.Environ()
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			}
			if err := cmd.Start(); err != nil {
				return nil, err
			}
		}
	case "reason":
		st, _ := status.New(codes.NotFound, "manifest \x1b[1munknown").WithDetails(&errdetails.ErrorInfo{
			Domain: "rkt", Reason: r.GetReference(), Metadata: map[string]string{"retry_after": "3s"}})
		return nil, st.Err()
	case "huge-error":
		return nil, status.Error(codes.Internal, strings.Repeat("e", 1<<20))
	}
	dirs := strings.Split(r.GetReference(), ":")
	b, err := json.Marshal(gather(dirs[0], dirs[len(dirs)-1]))
	return &fetcherv1.ResolveResponse{Canonical: string(b)}, err
}

type fakeStage1 struct {
	stage1v1.UnimplementedStage1ServiceServer
}

func (*fakeStage1) Run(context.Context, *stage1v1.RunRequest) (*stage1v1.ExecPlan, error) {
	return &stage1v1.ExecPlan{}, nil
}

// place is a directory whose whole path only root (or the user) can write to, unlike t.TempDir.
func place(t testing.TB) string {
	parent := "/run"
	if os.Geteuid() != 0 {
		parent, _ = os.UserHomeDir()
	}
	dir, err := os.MkdirTemp(parent, "rkt-plugin-test-")
	if err != nil {
		t.Skipf("no directory that is trusted: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Check(&Entry{Name: "x", Dir: dir, Manifest: &manifest.Manifest{Exec: "x"}}, os.Geteuid(), false); err != nil && !strings.Contains(err.Error(), "is missing") {
		t.Skipf("no directory that is trusted: %v", err)
	}
	return dir
}

// install makes a plugin directory whose binary behaves so.
func install(t testing.TB, dir, behaviour string) *Entry {
	t.Helper()
	d := filepath.Join(dir, "fake")
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{Schema: 1, Name: "fake", Version: "1.2.3", Exec: "fake-" + behaviour, Provides: []manifest.Provision{
		{Service: manifest.ServiceFetcher, Protocols: []uint32{1}, Schemes: []string{"other", "fake"}},
		{Service: manifest.ServiceStage1, Protocols: []uint32{1}, Flavor: "fake"},
		{Service: manifest.ServiceNetwork, Protocols: []uint32{1}},
		{Service: manifest.ServiceVerifier, Protocols: []uint32{1}},
		{Service: "rkt.future", Protocols: []uint32{7}},
	}}
	writeManifest(t, d, m)
	exe := filepath.Join(d, m.Exec)
	if _, err := os.Stat(exe); err == nil {
		t.Fatal("installed twice")
	}
	copyFile(t, "/proc/self/exe", exe)
	e, err := OpenDir(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func writeManifest(t testing.TB, dir string, m *manifest.Manifest) {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, manifest.FileName), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails when a process of a fake lives, or a socket directory is there.
func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	left, _ := os.ReadDir(filepath.Join(dir, "sockets"))
	for _, e := range left {
		t.Errorf("left behind: %s", e.Name())
	}
	// A killed process is a zombie of whoever reaps it for a moment; it must be gone from the tree soon.
	deadline := time.Now().Add(2 * time.Second)
	for {
		var alive []string
		procs, _ := filepath.Glob("/proc/[0-9]*")
		for _, p := range procs {
			exe, err := os.Readlink(p + "/exe")
			if err == nil && strings.HasPrefix(exe, dir) {
				cmd, _ := os.ReadFile(p + "/cmdline")
				alive = append(alive, p+" "+string(cmd))
			}
		}
		if len(alive) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still running: %q", alive)
			for _, p := range alive {
				var pid int
				fmt.Sscanf(p, "/proc/%d", &pid)
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
