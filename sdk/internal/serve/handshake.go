package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rkt/rkt/v2/proto/launch"
)

// envSocketDir names the private directory for the socket (proto/launch).
const envSocketDir = "PLUGIN_UNIX_SOCKET_DIR"

// listen makes the socket. The directory is this process's alone, so the pid makes the name unique, and a
// leftover of that name is nobody's.
func listen(dir string) (net.Listener, error) {
	if !filepath.IsAbs(dir) {
		return nil, errors.New(envSocketDir + " is not an absolute path")
	}
	path := filepath.Join(dir, "plugin"+strconv.Itoa(os.Getpid()))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// hello prints the handshake line:
//
//	1|<app protocol>|unix|<socket path>|grpc|
//
// There is one version to offer. A core that does not list it in PLUGIN_PROTOCOL_VERSIONS is told all the same,
// and says so to the user with both sides' versions.
func hello(stdout *os.File, socket string) error {
	_, err := fmt.Fprintf(stdout, "1|%d|unix|%s|grpc|\n", launch.Protocol, socket)
	return err
}
