package serve

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
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
func serve(p Plugin, stdin, stderr *os.File) int {
	log := slog.New(newHandler(stderr, p.Manifest.Name))
	slog.SetDefault(log)

	fds, err := launch.Take()
	if err != nil {
		log.Error("take donated descriptors", "error", err)
		return exitSoftware
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &server{ctx: ctx, stderr: stderr, log: log}
	go s.watch(stdin, cancel)

	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{MagicCookieKey: launch.CookieKey, MagicCookieValue: launch.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{
			launch.Protocol: {"rkt": &registration{plugin: p, fds: fds}},
		},
		GRPCServer: s.new,
		Logger:     hclog.NewNullLogger(), // its remarks are about itself; ours go through slog
	})
	return 0
}

// server is the gRPC server and what its interceptors share.
type server struct {
	ctx    context.Context // of every RPC's: done when the lifeline is cut
	stderr *os.File
	log    *slog.Logger

	mu      sync.Mutex
	grpc    *grpc.Server
	stdio   sync.Once
	running sync.WaitGroup
}

// new is called by go-plugin to make the server.
func (s *server) new(opts []grpc.ServerOption) *grpc.Server {
	opts = append(opts,
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream))
	g := grpc.NewServer(opts...)
	s.mu.Lock()
	s.grpc = g
	s.mu.Unlock()
	return g
}

// watch ends the process when core closes its end of stdin or dies. Whatever is written there is ignored.
func (s *server) watch(stdin io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, stdin)
	cancel()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(lastWords):
		s.log.Warn("a call did not end when it was cancelled")
		os.Exit(exitSoftware) // Stop would wait for the handler
	}
	s.mu.Lock()
	g := s.grpc
	s.mu.Unlock()
	if g == nil {
		os.Exit(0) // before the handshake: there is nothing to stop yet
	}
	g.Stop() // plugin.Serve returns, removes the socket, and Main exits
}

// reclaim undoes what go-plugin does to os.Stdout and os.Stderr when it begins to serve: it replaces them by
// pipes that only its stdio stream drains, so that 64 KiB of stray prints would block the plugin for ever. A
// stray print belongs to the log. Serve's assignment happens before the first RPC, so this does not race.
func (s *server) reclaim() {
	s.stdio.Do(func() { os.Stdout, os.Stderr = s.stderr, s.stderr })
}

// registration makes the plugin's services known to go-plugin's server.
type registration struct {
	plugin.NetRPCUnsupportedPlugin
	plugin Plugin
	fds    launch.FDs
}

var _ plugin.GRPCPlugin = (*registration)(nil)

func (r *registration) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(g, &identity{plugin: r.plugin})
	r.plugin.Register(g, r.fds)
	return nil
}

// GRPCClient is never called: a plugin does not dial.
func (r *registration) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}
