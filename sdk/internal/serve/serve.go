package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/launch"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// maxMessage bounds a message in both directions. By design none comes near it: bytes travel in files.
const maxMessage = 4 << 20

// lastWords is how long RPCs may take to see their context cancelled after the lifeline was cut. The contract
// allows a second for all of it.
const lastWords = 500 * time.Millisecond

// serve answers RPCs until the lifeline is cut. It returns the exit status.
func serve(p Plugin, stdin, stdout, stderr *os.File) int {
	log := slog.New(newHandler(stderr, p.Manifest.Name))
	slog.SetDefault(log)

	fds, err := launch.Take()
	if err != nil {
		log.Error("take donated descriptors", "error", err)
		return exitSoftware
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &server{ctx: ctx, log: log, idle: make(chan struct{}), stuck: make(chan struct{})}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	pluginv1.RegisterPluginServiceServer(server, &identity{plugin: p})
	p.Register(server, fds)

	l, err := listen(os.Getenv(launch.EnvSocketDir))
	if err != nil {
		log.Error("make socket", "error", err)
		return exitSoftware
	}
	// Ctrl-C is for core, which cancels the RPC. A terminal cannot reach us anyway: rkt starts us in a session
	// of our own. This is for a plugin under a debugger.
	signal.Ignore(unix.SIGINT)
	go s.watch(stdin, cancel)
	if err := hello(stdout, choose(&p.Manifest, os.Getenv(launch.EnvProtocols)), l.Addr().String()); err != nil {
		log.Error("print handshake", "error", err)
		return exitSoftware
	}
	go p.ready()
	// Nothing may follow the handshake on stdout; a stray print of the plugin's belongs to the log.
	os.Stdout = stderr
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err = <-served:
	case <-s.idle:
		// Every call has been answered. The server's own end, which waits for its goroutines, would hold up core,
		// which waits for this process.
		err = l.Close()
	case <-s.stuck:
		err = errors.New("a call did not end when it was cancelled")
	}
	if err != nil {
		log.Error("serve", "error", err)
		return exitSoftware
	}
	return 0
}

// server is what the gRPC server's interceptors share.
type server struct {
	ctx context.Context // of every RPC's: done when the lifeline is cut
	log *slog.Logger

	mu     sync.Mutex
	calls  int
	ending bool
	idle   chan struct{} // closed when ending and the last call has left
	stuck  chan struct{} // closed when that does not happen in time
}

// leave counts a call out. enter, in intercept.go, counts it in.
func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	if s.ending && s.calls == 0 {
		close(s.idle)
	}
}

// watch ends the process when core closes its end of stdin or dies. Whatever is written there is ignored.
func (s *server) watch(stdin io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, stdin)
	cancel()
	s.mu.Lock()
	s.ending = true
	if s.calls == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-time.After(lastWords):
		close(s.stuck)
	}
}
