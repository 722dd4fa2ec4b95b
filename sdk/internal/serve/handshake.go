package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// listen makes the socket. The directory is this process's alone, so the pid makes the name unique, and a
// leftover of that name is nobody's.
func listen(dir string) (net.Listener, error) {
	if !filepath.IsAbs(dir) {
		return nil, errors.New(launch.EnvSocketDir + " is not an absolute path")
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
// A core that offers none of the plugin's majors is told the newest all the same, and says so to the user with both
// sides' versions.
func hello(stdout *os.File, protocol int, socket string) error {
	_, err := fmt.Fprintf(stdout, "1|%d|unix|%s|grpc|\n", protocol, socket)
	return err
}

// choose returns the greatest of the plugin's majors that core offers ("1,2"), else the greatest. What cannot be
// read is of a later contract, and skipped.
func choose(m *manifest.Manifest, offered string) int {
	var all, common []int
	for _, p := range m.Provides {
		for _, n := range p.Protocols {
			all = append(all, int(n))
			if slices.Contains(strings.Split(offered, ","), strconv.Itoa(int(n))) {
				common = append(common, int(n))
			}
		}
	}
	if len(common) > 0 {
		return slices.Max(common)
	}
	return slices.Max(append(all, 0))
}
