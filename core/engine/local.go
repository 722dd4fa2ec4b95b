package engine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/launch"
)

// openLocal opens what a local reference and --signature name, as the user who asks: the fetcher runs
// unprivileged, and an image below /root is no less the caller's.
func openLocal(ref image.Ref, signature string) ([]plugin.FD, error) {
	var fds []plugin.FD
	for _, f := range []struct{ name, path string }{{launch.FDSource, localPath(ref)}, {launch.FDSignature, signature}} {
		if f.path == "" {
			continue
		}
		// Never waits for a fifo's other end.
		file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return fds, fmt.Errorf("open image: %w", err)
		}
		fds = append(fds, plugin.FD{Name: f.name, File: file})
	}
	return fds, nil
}

func localPath(ref image.Ref) string {
	path, _, _ := ref.Path()
	return path
}

func closeAll(fds []plugin.FD) {
	for _, f := range fds {
		f.File.Close()
	}
}
