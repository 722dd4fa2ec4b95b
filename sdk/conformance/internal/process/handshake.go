package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rkt/rkt/v2/proto/launch"
)

// Hello is the handshake line.
type Hello struct {
	Line     string
	Protocol int
	Socket   string
}

// Errors of the handshake, for checks that look for them.
var (
	ErrNoHandshake = errors.New("no handshake line")
	ErrProtocol    = errors.New("another protocol version")
)

func (p *Process) handshake(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-p.stdout.lineRead:
	case <-ctx.Done():
		return fmt.Errorf("%w on stdout within %v%s", ErrNoHandshake, limit, p.lastWords())
	}
	line := p.stdout.firstLine()
	if line == "" {
		state, err := p.Wait(time.Second)
		if err != nil {
			return fmt.Errorf("%w: stdout was closed%s", ErrNoHandshake, p.lastWords())
		}
		return fmt.Errorf("%w: the plugin ended (%v)%s", ErrNoHandshake, state, p.lastWords())
	}
	var err error
	p.Hello, err = parse(line, p.SocketDir)
	return err
}

// parse reads 1|<app protocol>|unix|<socket path>|grpc[|...].
func parse(line, dir string) (Hello, error) {
	h := Hello{Line: line}
	parts := strings.Split(strings.TrimRight(line, "\r\n"), "|")
	if len(parts) < 5 || parts[0] != "1" || parts[2] != "unix" || parts[4] != "grpc" {
		return h, fmt.Errorf("stdout begins with %q, which is no handshake line 1|PROTOCOL|unix|SOCKET|grpc", line)
	}
	var err error
	if h.Protocol, err = strconv.Atoi(parts[1]); err != nil {
		return h, fmt.Errorf("handshake %q names no protocol version", line)
	}
	h.Socket = parts[3]
	if filepath.Clean(h.Socket) != h.Socket || filepath.Dir(h.Socket) != dir {
		return h, fmt.Errorf("handshake names the socket %q, which is not in PLUGIN_UNIX_SOCKET_DIR=%s", h.Socket, dir)
	}
	if h.Protocol != launch.Protocol {
		return h, fmt.Errorf("%w: it speaks %d, the kit %d", ErrProtocol, h.Protocol, launch.Protocol)
	}
	return h, nil
}

// maxMessage is core's bound on a message in both directions.
const maxMessage = 4 << 20

func (p *Process) dial() error {
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.connect(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithUnaryInterceptor(unary), grpc.WithStreamInterceptor(stream), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(16*maxMessage)))
	if err != nil {
		return err
	}
	p.Conn = conn
	return nil
}

// connect insists, as core does, that the plugin itself listens.
func (p *Process) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", p.Hello.Socket)
	if err != nil {
		return nil, err
	}
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, credErr); err == nil && int(cred.Pid) != p.Pid {
		err = fmt.Errorf("the socket is served by pid %d, the plugin is pid %d", cred.Pid, p.Pid)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Sockets returns what is in the socket's directory.
func (p *Process) Sockets() ([]string, error) {
	entries, err := os.ReadDir(p.SocketDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
