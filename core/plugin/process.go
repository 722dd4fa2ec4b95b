package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rkt/rkt/v2/core/internal/linux"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

// Process is a running plugin.
type Process struct {
	entry *Entry
	kind  Kind
	conf  confinement
	log   *drain
	grace time.Duration
	// failed and waiting are Options.Failed and Waiting
	failed  func(*Error, []string) string
	waiting func(error, time.Duration)

	dir     string   // private, with the socket
	dirLock *os.File // says that the directory is in use
	run     *processRunner
	conn    *grpc.ClientConn
	calls   grpc.ClientConnInterface // conn, in core's own words

	closing sync.Once
	err     error

	belowMu sync.Mutex
	below   []stray // seen below the plugin while it lived
}

// maxMessage bounds what a plugin can make core hold; by design messages are far smaller.
const maxMessage = 4 << 20

// maxHeaders bounds a status with its details.
const maxHeaders = 128 << 10

// Entry is what was launched.
func (p *Process) Entry() *Entry { return p.entry }

// Plugin is the client of PluginService.
func (p *Process) Plugin() pluginv1.PluginServiceClient {
	return pluginv1.NewPluginServiceClient(p.calls)
}

// Fetcher is the client of FetcherService.
func (p *Process) Fetcher() fetcherv1.FetcherServiceClient {
	return fetcherv1.NewFetcherServiceClient(p.calls)
}

// Verifier is the client of VerifierService.
func (p *Process) Verifier() verifierv1.VerifierServiceClient {
	return verifierv1.NewVerifierServiceClient(p.calls)
}

// Network is the client of NetworkService.
func (p *Process) Network() networkv1.NetworkServiceClient {
	return networkv1.NewNetworkServiceClient(p.calls)
}

// Stage1 is the client of Stage1Service.
func (p *Process) Stage1() stage1v1.Stage1ServiceClient {
	return stage1v1.NewStage1ServiceClient(p.calls)
}

// namespaced says whether the plugin is init of a pid namespace.
func (p *Process) namespaced() bool { return p.conf.namespaces&unix.CLONE_NEWPID != 0 }

// dial makes the connection. It is go-plugin's socket but not its client, which would open a broker and a
// stream of stdio beside it, and takes messages of 2 GiB.
func (p *Process) dial(o Options) error {
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.connect(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0), grpc.WithMaxHeaderListSize(maxHeaders), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return refuse(p.entry, "%w", err)
	}
	p.conn, p.calls = conn, conn
	if o.Grease {
		p.calls = greased{conn}
	}
	p.calls = o.adapters[p.run.hello.protocol](p.calls)
	return nil
}

// connect dials the socket and insists that the plugin itself listens there: another process of the same uid
// could have put its own socket in the place.
func (p *Process) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", p.run.hello.socket)
	if err != nil {
		return nil, err
	}
	if err := p.checkPeer(c.(*net.UnixConn)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (p *Process) checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return os.NewSyscallError("getsockopt", credErr)
	}
	if int(cred.Pid) != p.run.child.pid || int(cred.Uid) != p.conf.uid {
		return fmt.Errorf("%w: its socket is served by pid %d, uid %d, the plugin is pid %d, uid %d",
			errPeer, cred.Pid, cred.Uid, p.run.child.pid, p.conf.uid)
	}
	return nil
}

var errPeer = errors.New("stranger on the socket")

// Close ends the plugin with everything it started, and reaps it. It may be called twice, the second call waiting
// for the first, on nil, and on a Process whose start failed half-way. A plugin that did not end by itself is an
// entry in the log, not an error.
func (p *Process) Close() error {
	if p == nil {
		return nil
	}
	p.closing.Do(func() { p.err = p.close() })
	return p.err
}

// Kill is Close without the grace that a plugin has to end by itself.
func (p *Process) Kill() error {
	if p == nil {
		return nil
	}
	p.closing.Do(func() {
		p.grace = 0
		p.err = p.close()
	})
	return p.err
}

func (p *Process) close() error {
	var errs []error
	if p.run != nil && p.run.child != nil {
		p.end(p.run.child)
	}
	if p.conn != nil {
		p.conn.Close()
	}
	if p.dir != "" {
		if err := linux.RemoveAll(p.dir); err != nil {
			errs = append(errs, fmt.Errorf("remove socket directory: %w", err))
		}
	}
	if p.dirLock != nil {
		p.dirLock.Close()
	}
	return errors.Join(errs...)
}

// kill ends the plugin's process, and remembers what it had started: once it is dead nothing tells whose those are.
func (p *Process) kill(c *child) {
	p.remember(c)
	c.kill()
}

func (p *Process) remember(c *child) {
	if p.namespaced() {
		return
	}
	p.belowMu.Lock()
	defer p.belowMu.Unlock()
	p.below = append(p.below, tree(c.pid)...)
}

func (p *Process) end(c *child) {
	p.remember(c)
	c.cutLifeline()
	t := time.NewTimer(p.grace)
	defer t.Stop()
	select {
	case <-c.exited:
	case <-t.C:
		p.log.log.Warn("plugin does not end when told to; killed", "pid", c.pid)
		p.kill(c)
		<-c.exited
	}
	if !p.namespaced() {
		killStrays(c.pid, p.dir, p.below)
	}
	// Nobody of ours holds the other ends now. Somebody who got away may; then these reads end here.
	t.Reset(100 * time.Millisecond)
	select {
	case <-p.log.done:
	case <-t.C:
	}
	c.close()
	<-p.log.done
}
