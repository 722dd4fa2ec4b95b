package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/containernetworking/cni/libcni"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/cniexec"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/conflist"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
	"github.com/rkt/rkt/v2/sdk/network"
)

// Engine implements the plugin.
type Engine struct {
	Programs   []string // where CNI programs are looked for
	ResolvConf []string // where the host's name servers are looked for
}

var (
	_ network.Network = (*Engine)(nil)
	_ network.Checker = (*Engine)(nil)
	_ network.Sweeper = (*Engine)(nil)
)

// New makes an engine for the plugin whose binary is running.
func New() *Engine {
	own := "/nonexistent"
	if exe, err := os.Executable(); err == nil {
		own = filepath.Dir(exe)
	}
	return &Engine{Programs: cniexec.SearchPath(own), ResolvConf: hostnet.ResolvConf()}
}

// session is one verb on one shared directory.
type session struct {
	*Engine
	led  *ledger.Dir
	cni  *libcni.CNIConfig
	exec *cniexec.Exec
	rec  *ledger.Record // of the pod in question
	ns   int            // its namespace, -1 when it is gone

	fwOnce sync.Once
	fw     *firewall.Conn
	fwErr  error
}

func (e *Engine) open(sharedDir string, ns int) (*session, error) {
	led, err := ledger.Open(sharedDir)
	if err != nil {
		return nil, err
	}
	s := &session{Engine: e, led: led, ns: ns}
	s.exec = &cniexec.Exec{Builtins: map[string]cniexec.Builtin{ptp.Type: s.builtin}}
	s.cni = libcni.NewCNIConfigWithCacheDir(e.Programs, led.CacheDir(), s.exec)
	return s, nil
}

// close lets go of the directory. The connection to nftables is left to the end of the process: after a removal, its
// own or another's, closing it waits for an RCU grace period, which has passed by then.
func (s *session) close() { s.led.Close() }

// firewall connects on first use.
func (s *session) firewall() (*firewall.Conn, error) {
	s.fwOnce.Do(func() { s.fw, s.fwErr = firewall.Open() })
	return s.fw, s.fwErr
}

// locked runs f under the ledger's lock.
func (s *session) locked(ctx context.Context, f func() error) error {
	unlock, err := s.led.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// Setup implements network.Network.
func (e *Engine) Setup(ctx context.Context, req network.SetupRequest) (network.Setup, error) {
	var none network.Setup
	if req.Netns < 0 {
		return none, errors.New("set up the pod's network: its namespace was not donated")
	}
	s, err := e.open(req.SharedDir, req.Netns)
	if err != nil {
		return none, err
	}
	defer s.close()
	configs := conflist.Load(req.ConfigDirs)
	for _, w := range configs.Warnings {
		slog.WarnContext(ctx, "ignored a network configuration", "reason", w)
	}
	again, err := s.prepare(ctx, req, configs)
	if err != nil {
		return none, err
	}
	results, err := s.addAll(ctx, again)
	if err != nil {
		// What was made so far goes at once, with a deadline of its own: ctx may be why we are here.
		if terr := s.teardown(context.WithoutCancel(ctx)); terr != nil {
			slog.ErrorContext(ctx, "could not undo a failed setup, gc will try again", "pod", req.UUID, "error", terr)
		}
		return none, err
	}
	return s.answer(ctx, results)
}

// Teardown implements network.Network.
func (e *Engine) Teardown(ctx context.Context, pod network.Pod) error {
	s, err := e.open(pod.SharedDir, pod.Netns)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	s.rec, err = s.led.Load(pod.UUID)
	if s.rec == nil && (err == nil || errors.Is(err, ledger.ErrTorn)) {
		return s.locked(ctx, func() error { return s.forget(pod.UUID) })
	}
	if err != nil {
		return err
	}
	return s.teardown(ctx)
}

// forget frees what a pod without a readable record may hold: a kill just before the record was written, or a
// power cut. Nothing on the host belongs to it then. The caller holds the lock.
func (s *session) forget(pod string) error {
	err := s.led.SweepClaims(func(p string) bool { return p != pod })
	if err != nil {
		return fmt.Errorf("forget pod %s: %w", pod, err)
	}
	if err := s.dropLeases(func(holder string) bool { return holder == pod }, nil); err != nil {
		return fmt.Errorf("forget pod %s: %w", pod, err)
	}
	return s.led.Remove(pod)
}
