package tarfile

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

const (
	maxEntries  = 100_000
	maxName     = 1024 // far above blobs/sha512/<hex>
	maxLinks    = 16
	magicLength = 8
	maxCached   = 8 << 20 // documents of a compressed archive that are kept, all together
)

// Archive is an indexed archive.
type Archive struct {
	f       *os.File
	size    int64
	how     compression
	entries map[string]entry
	cache   map[string][]byte
	cached  int64
}

type entry struct {
	ordinal int   // place in the archive: of entries with one name the last counts
	offset  int64 // of the data, in a plain tar
	size    int64
	magic   string // first bytes
	link    string // the entry that it stands for
}

// Open reads the archive once. f stays the caller's, and must be open as long as the Archive is used.
func Open(ctx context.Context, f *os.File) (*Archive, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	a := &Archive{f: f, size: fi.Size(), entries: map[string]entry{}, cache: map[string][]byte{}}
	if a.how, err = sniff(f); err != nil {
		return nil, err
	}
	n := 0
	err = a.walk(ctx, func(h *tar.Header, r *tar.Reader) error {
		n++
		if n > maxEntries {
			return plugin.Errorf(reason.ImageInvalid, "read archive: more than %d entries", maxEntries)
		}
		return a.note(n, h, r)
	})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, plugin.Errorf(reason.ImageInvalid, "read archive: it is empty, or no tar archive")
	}
	return a, nil
}

// walk calls fn for each entry. errStop ends it early.
func (a *Archive) walk(ctx context.Context, fn func(*tar.Header, *tar.Reader) error) error {
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	stream, done, err := a.how.open(a.f)
	if err != nil {
		return plugin.Errorf(reason.ImageInvalid, "read archive: %w", err)
	}
	defer done()
	if a.how != plain {
		stream = cancelable{ctx, stream} // skipping reads all of it
	}
	tr := tar.NewReader(stream)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := tr.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return plugin.Errorf(reason.ImageInvalid, "read archive: %w", err)
		}
		if err := fn(h, tr); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

var errStop = errors.New("stop")

// note puts one entry into the index.
func (a *Archive) note(n int, h *tar.Header, r *tar.Reader) error {
	if len(h.Name) > maxName || len(h.Linkname) > maxName {
		return plugin.Errorf(reason.ImageInvalid, "read archive: the name of entry %d has more than %d bytes", n, maxName)
	}
	name := clean(h.Name)
	e := entry{ordinal: n, size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		e.link = clean(h.Linkname)
		if !path.IsAbs(h.Linkname) {
			e.link = clean(path.Join(path.Dir("/"+name), h.Linkname))
		}
	case tar.TypeLink:
		e.link = clean(h.Linkname)
	default:
		if h.Typeflag == tar.TypeGNUSparse {
			return sparse(name)
		}
		return nil // directories; devices mean nothing here
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return sparse(name)
		}
	}
	delete(a.cache, name)
	a.entries[name] = e
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	if a.how == plain {
		var err error
		if e.offset, err = a.f.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		if e.size > a.size-e.offset {
			return plugin.Errorf(reason.ImageInvalid, "read archive: it ends within %s; was it copied whole?", fault.Quote(name))
		}
	}
	magic := make([]byte, min(magicLength, e.size))
	if _, err := io.ReadFull(r, magic); err != nil {
		return plugin.Errorf(reason.ImageInvalid, "read archive: %s: %w", fault.Quote(name), err)
	}
	e.magic = string(magic)
	a.entries[name] = e
	return a.keep(name, e, r)
}

// keep holds what looks like a document of a compressed archive, so that reading it needs no pass of its own.
func (a *Archive) keep(name string, e entry, r io.Reader) error {
	if a.how == plain || e.size > maxCached/4 || a.cached+e.size > maxCached || e.magic == "" || !strings.ContainsAny(e.magic[:1], "{[") {
		return nil
	}
	b := make([]byte, e.size)
	copy(b, e.magic)
	if _, err := io.ReadFull(r, b[len(e.magic):]); err != nil {
		return plugin.Errorf(reason.ImageInvalid, "read archive: %s: %w", fault.Quote(name), err)
	}
	a.cached += e.size
	a.cache[name] = b
	return nil
}

func sparse(name string) error {
	return plugin.Errorf(reason.ImageInvalid, "read archive: %s is sparse, which image archives do not use", fault.Quote(name))
}

// clean makes "./a//b" and "/a/b" the same name; ".." stops at the top.
func clean(name string) string { return path.Clean("/" + name)[1:] }

// File is a regular file of the archive, with all links followed.
type File struct {
	Name  string
	Size  int64
	Magic string // the first bytes, up to 8
}

// Lookup finds a file. The error wraps fs.ErrNotExist when there is none.
func (a *Archive) Lookup(name string) (File, error) {
	at := clean(name)
	for range maxLinks {
		e, ok := a.entries[at]
		if !ok {
			return File{}, plugin.Errorf(reason.ImageInvalid, "read archive: there is no file %s: %w", fault.Quote(name), fs.ErrNotExist)
		}
		if e.link == "" {
			return File{Name: at, Size: e.size, Magic: e.magic}, nil
		}
		at = e.link
	}
	return File{}, plugin.Errorf(reason.ImageInvalid, "read archive: %s: more than %d links", fault.Quote(name), maxLinks)
}

// Document returns a small file whole.
func (a *Archive) Document(ctx context.Context, name string) ([]byte, error) {
	f, err := a.Lookup(name)
	if err != nil {
		return nil, err
	}
	if b, ok := a.cache[f.Name]; ok {
		return b, nil
	}
	if f.Size > image.MaxDocument {
		return nil, plugin.Errorf(reason.ImageInvalid, "read archive: %s has %d bytes, at most %d can be used", fault.Quote(name), f.Size, image.MaxDocument)
	}
	var b []byte
	err = a.Each(ctx, []File{f}, func(_ File, r io.Reader) (err error) {
		b, err = io.ReadAll(r)
		return err
	})
	return b, err
}

// Each calls fn once for each of the files, in an order of its own.
func (a *Archive) Each(ctx context.Context, files []File, fn func(f File, r io.Reader) error) error {
	want := make(map[string]File, len(files))
	for _, f := range files {
		want[f.Name] = f
	}
	if a.how == plain {
		for _, f := range files {
			if _, again := want[f.Name]; !again {
				continue
			}
			delete(want, f.Name)
			if err := fn(f, io.NewSectionReader(a.f, a.entries[f.Name].offset, f.Size)); err != nil {
				return err
			}
		}
		return nil
	}
	n := 0
	err := a.walk(ctx, func(h *tar.Header, r *tar.Reader) error {
		n++
		f, ok := want[clean(h.Name)]
		if !ok || a.entries[f.Name].ordinal != n || h.Size != f.Size {
			return nil
		}
		delete(want, f.Name)
		if err := fn(f, r); err != nil {
			return err
		}
		if len(want) == 0 {
			return errStop
		}
		return nil
	})
	if err == nil && len(want) > 0 {
		return plugin.Errorf(reason.ImageInvalid, "read archive: it changed while it was read")
	}
	return err
}

// cancelable makes a long skip end with its context.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
