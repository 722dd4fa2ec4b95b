package ocilayout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bufferSize is what one blob costs in memory while it is copied or digested.
const bufferSize = 256 << 10

// newPrefix begins the name of a blob whose digest is not known yet.
const newPrefix = "new-"

// Layout is an open layout directory. Its methods may be called from several goroutines, for different blobs.
type Layout struct {
	root *os.Root

	mu   sync.Mutex
	good map[string]bool // digests seen whole and right by this process
}

// Open opens dir, which exists and is empty or holds what a former attempt left.
func Open(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	l := &Layout{root: root, good: map[string]bool{}}
	if err := l.sweep(); err != nil {
		root.Close()
		return nil, fmt.Errorf("open layout: %w", err)
	}
	return l, nil
}

// sweep drops what killed processes left of blobs that had no name yet: they can never be resumed.
func (l *Layout) sweep() error {
	d, err := l.root.Open("blobs/sha256")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, newPrefix) {
			continue
		}
		f, err := l.root.Open(blobName("sha256", name))
		if err != nil {
			continue // gone meanwhile
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil { // else its writer lives
			l.root.Remove(blobName("sha256", name))
		}
		f.Close()
	}
	return nil
}

// Close releases the directory. Writers that are open still work.
func (l *Layout) Close() error { return l.root.Close() }

// Dir returns the path that Open was given.
func (l *Layout) Dir() string { return l.root.Name() }

// Has says whether the blob is there, whole. A blob that another process left is digested once; a damaged one
// (power loss before its pages reached the disk) is removed, so that it is fetched again.
func (l *Layout) Has(ctx context.Context, d Descriptor) (bool, error) {
	alg, hexa, err := SplitDigest(d.Digest)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	good := l.good[d.Digest]
	l.mu.Unlock()
	if good {
		return true, nil
	}
	name := blobName(alg, hexa)
	f, err := l.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("open blob: %w", err)
	}
	defer f.Close()
	h := newHash(alg)
	n, err := copyContext(ctx, h, f, nil)
	if err != nil {
		return false, fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	if sum(alg, h) != d.Digest || (d.Size > 0 && n != d.Size) {
		if err := l.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("remove damaged blob: %w", err)
		}
		return false, nil
	}
	l.markGood(d.Digest)
	return true, nil
}

// OpenBlob opens a complete blob for reading.
func (l *Layout) OpenBlob(digest string) (*os.File, error) {
	alg, hexa, err := SplitDigest(digest)
	if err != nil {
		return nil, err
	}
	return l.root.Open(blobName(alg, hexa))
}

func (l *Layout) markGood(digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good[digest] = true
}

func blobName(alg, hexa string) string { return path.Join("blobs", alg, hexa) }

// copyContext copies until EOF or until ctx ends. Whoever can block r for long must unblock it when ctx ends.
func copyContext(ctx context.Context, w io.Writer, r io.Reader, progress func(done int64)) (int64, error) {
	buf := make([]byte, bufferSize)
	var done int64
	for {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		n, rerr := r.Read(buf)
		if n > 0 {
			m, err := w.Write(buf[:n])
			done += int64(m)
			if err != nil {
				return done, err
			}
			if progress != nil {
				progress(done)
			}
		}
		if rerr == io.EOF {
			return done, nil
		} else if rerr != nil {
			return done, rerr
		}
	}
}
