package engine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/launch"
)

// openLocal opens what a reference and --signature name, as the user who asks: the fetcher runs unprivileged, and
// an image below /root is no less the caller's. What a vendor's scheme names may be no file of this host, so that one
// which cannot be opened is the fetcher's to judge. It says nothing of trust: signatures are the policy's.
func openLocal(ref image.Ref, signature string) ([]plugin.FD, error) {
	source, own := launch.SourcePath(ref.String())
	var fds []plugin.FD
	for _, f := range []struct {
		name, path string
		must       bool
	}{{launch.FDSource, source, own}, {launch.FDSignature, signature, true}} {
		if f.path == "" {
			continue
		}
		// Never waits for a fifo's other end.
		file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil && !f.must {
			continue
		}
		if err != nil {
			return fds, fmt.Errorf("open image: %w", err)
		}
		fds = append(fds, plugin.FD{Name: f.name, File: file})
	}
	return fds, nil
}

func closeAll(fds []plugin.FD) {
	for _, f := range fds {
		f.File.Close()
	}
}

// reachable says which directory on the way to a fetcher's layout is closed to it: a data directory below root's
// home would fail there, with an error that only strace explains.
func reachable(dir string) error {
	if os.Geteuid() != 0 {
		return nil // the fetcher runs as the same user
	}
	for dir = filepath.Dir(dir); dir != "/"; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("find data directory: %w", err)
		}
		if st.Mode()&0o001 == 0 {
			return fmt.Errorf("fetch into the data directory: fetchers run as an unprivileged user, which cannot pass %s (mode %04o): choose another --dir, or chmod o+x %s", dir, st.Mode().Perm(), dir)
		}
	}
	return nil
}
