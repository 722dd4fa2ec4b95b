package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

const (
	oDirectory = unix.O_DIRECTORY
	oNoFollow  = unix.O_NOFOLLOW
)

// IngestRequest says which image of which layout to take in.
type IngestRequest struct {
	LayoutDir string
	Image     ocispec.Descriptor  // as the fetcher named it: a manifest or an index
	App       *ocispec.Descriptor // the ociapp blob of the same layout, or nil
	Names     []string            // with their schemes; they move to this image
	ID        string              // default: "sha256-<manifest hex>"
	// Platform to choose from an index, and to insist on. Nil is this host's.
	Platform *ocispec.Platform
	// Progress may be nil. Calls come one at a time; total 0 means unknown.
	Progress func(phase, item string, done, total int64)
}

// parallelLayers is how many layers are unpacked at a time; each uses about one and a half CPUs.
const parallelLayers = 2

// Ingest takes an image of a layout into the store. When it returns without an error, the image, its layers and
// its names are on disk; with one, the store is as it was, but for layers and blobs that gc takes. The layout is
// not changed.
func (s *Store) Ingest(ctx context.Context, in IngestRequest) (*Image, error) {
	release, err := s.Hold()
	if err != nil {
		return nil, err
	}
	defer release()
	id, err := s.ingest(ctx, &in)
	if err != nil {
		return nil, fmt.Errorf("store image: %w", err)
	}
	names, err := s.namesOf()
	if err != nil {
		return nil, err
	}
	return s.load(id, names[id], true)
}

func (s *Store) ingest(ctx context.Context, in *IngestRequest) (id string, err error) {
	names, err := normalNames(in.Names)
	if err != nil {
		return "", err
	}
	if in.ID != "" && !image.ValidID(in.ID) {
		return "", fmt.Errorf("%.140q is no image ID", in.ID)
	}
	want := in.Platform
	if want == nil {
		want = &ocispec.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	}
	l, err := openLayout(in.LayoutDir)
	if err != nil {
		return "", err
	}
	defer l.close()

	found, err := l.walk(in.Image, want)
	if err != nil {
		return "", err
	}
	rawConfig, err := l.document(found.parsed.Config)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	config, err := parseConfig(rawConfig, len(found.parsed.Layers))
	if err != nil {
		return "", invalid("config %s: %w", found.parsed.Config.Digest, err)
	}
	if matchPlatform(config.Platform, want) == 0 {
		return "", invalid("the image is for %s, not for %s", platformString(config.Platform), platformString(*want))
	}
	r := &record{Schema: recordSchema, ID: in.ID, Manifest: string(found.manifest.Digest), MediaType: found.manifest.MediaType,
		Config: string(found.parsed.Config.Digest), Annotations: found.parsed.Annotations}
	if r.ID == "" {
		r.ID = string(found.manifest.Digest.Algorithm()) + "-" + found.manifest.Digest.Encoded()
	}
	docs := map[string][]byte{r.Manifest: found.raw, r.Config: rawConfig}
	if in.App != nil {
		b, err := l.document(*in.App)
		if err != nil {
			return "", fmt.Errorf("app description: %w", err)
		}
		if _, err := parseApp(b); err != nil {
			return "", invalid("app description %s: %w", in.App.Digest, err)
		}
		r.App = string(in.App.Digest)
		docs[r.App] = b
	}

	batch := &batch{s: s, layout: l, progress: serialize(in.Progress)}
	defer batch.cleanup()
	if err := batch.unpackAll(ctx, found.parsed.Layers, config.RootFS.DiffIDs); err != nil {
		return "", err
	}
	for i, d := range config.RootFS.DiffIDs {
		m := batch.meta[string(d)]
		r.Layers = append(r.Layers, recordLayer{DiffID: m.DiffID, Blob: string(found.parsed.Layers[i].Digest), Size: m.Size, OpaqueRoot: m.OpaqueRoot})
	}
	counted := map[string]bool{}
	for _, rl := range r.Layers {
		if !counted[rl.DiffID] {
			counted[rl.DiffID] = true
			r.Size += rl.Size
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return r.ID, s.publish(batch, r, docs, names)
}

// publish makes all of it visible, in the order that leaves nothing half at any moment: layers and blobs to
// which nothing points yet, the record that points to them, the names that point to the record.
func (s *Store) publish(b *batch, r *record, docs map[string][]byte, names []string) error {
	b.progress("commit", r.ID, 0, 0)
	if err := b.publish(); err != nil {
		return err
	}
	for d, content := range docs {
		if have, err := s.readBlob(d); err == nil && len(have) == len(content) {
			continue
		}
		if err := atomicfile.Write(s.blobPath(d), content, 0o640); err != nil {
			return err
		}
	}
	return s.change(func() error {
		r.Imported = time.Now().UTC().Truncate(time.Microsecond)
		if err := s.writeRecord(r); err != nil {
			return err
		}
		return s.tag(r.ID, names)
	})
}

// batch is the layers of one ingest, on their way through tmp.
type batch struct {
	s        *Store
	layout   *layout
	progress func(phase, item string, done, total int64)

	mu    sync.Mutex
	work  []*workDir
	ready map[string]*workDir   // diffID -> directory that holds "layer"
	meta  map[string]*layerMeta // diffID -> of a new or a stored layer
}

// unpackAll unpacks what the store does not have yet, each layer once. It first looks at all layers and then
// starts, so that it never returns while a layer is still being written.
func (b *batch) unpackAll(ctx context.Context, blobs []ocispec.Descriptor, diffIDs []digest.Digest) error {
	b.ready, b.meta = map[string]*workDir{}, map[string]*layerMeta{}
	known, err := b.s.layerBlobs()
	if err != nil {
		return err
	}
	asked := map[string]bool{}
	var todo []int
	for i, d := range diffIDs {
		diffID, blob := string(d), blobs[i]
		if is, ok := known[string(blob.Digest)]; ok && is != diffID {
			return invalid("layer %d: blob %s is %s when unpacked, the config says %s", i, blob.Digest, is, diffID)
		}
		if asked[diffID] {
			continue
		}
		asked[diffID] = true
		if b.s.checkLayer(diffID) != nil {
			todo = append(todo, i)
			continue
		}
		// Known by its diffID. A blob that has not been seen to be this layer is only digested, and not noted as
		// being it: the config that says so may lie.
		if b.meta[diffID], err = b.s.readLayer(diffID); err != nil {
			return err
		}
		if known[string(blob.Digest)] == "" {
			if err := b.checkBlob(ctx, blob); err != nil {
				return fmt.Errorf("layer %d: %w", i, err)
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelLayers)
	for _, i := range todo {
		g.Go(func() error {
			if err := b.unpack(ctx, blobs[i], string(diffIDs[i])); err != nil {
				return fmt.Errorf("layer %d (%s): %w", i, blobs[i].Digest, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// checkBlob digests a blob that the layout holds although the store does not need it.
func (b *batch) checkBlob(ctx context.Context, d ocispec.Descriptor) error {
	f, err := b.layout.open(d)
	if errors.Is(err, ErrBlobMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, &ctxReader{ctx, newVerifier(f, d)})
	return err
}

// unpack turns one blob into a layer in tmp.
func (b *batch) unpack(ctx context.Context, blob ocispec.Descriptor, diffID string) error {
	f, err := b.layout.open(blob)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := b.newWork()
	if err != nil {
		return err
	}
	layer := filepath.Join(w.path, "layer")
	diff := filepath.Join(layer, diffDir)
	if err := os.Mkdir(layer, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(diff, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(diff, 0o755); err != nil { // whatever the umask
		return err
	}
	journal, err := os.OpenFile(filepath.Join(layer, journalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer journal.Close()
	in := newVerifier(f, blob)
	in.done = func(n int64) { b.progress("unpack", string(blob.Digest), n, blob.Size) }
	res, err := unpack.Run(ctx, unpack.Job{Dir: diff, Blob: in, Journal: journal, Lock: w.lock,
		Algorithm: string(digest.Digest(diffID).Algorithm()), Limits: b.s.Limits})
	if bad := (*unpack.LayerError)(nil); errors.As(err, &bad) {
		return invalid("%w", err)
	}
	if err != nil {
		return err
	}
	if res.DiffID != diffID {
		return invalid("it is %s when unpacked, the config says %s", res.DiffID, diffID)
	}
	m := &layerMeta{Schema: recordSchema, DiffID: diffID, Blobs: []string{string(blob.Digest)}, Size: res.Size,
		Entries: res.Entries, Journal: res.Journal, OpaqueRoot: slices.Contains(res.Opaque, "."),
		Rootless: os.Geteuid() != 0, Skipped: res.Skipped, Created: time.Now().UTC().Truncate(time.Second)}
	if err := writeLayer(layer, m); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready[diffID], b.meta[diffID] = w, m
	return nil
}

func (b *batch) newWork() (*workDir, error) {
	w, err := b.s.newWorkDir()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.work = append(b.work, w)
	return w, nil
}

func (b *batch) cleanup() {
	for _, w := range b.work {
		w.remove()
	}
}

// publish renames the new layers into place: after one syncfs(2), instead of one fsync(2) for each file.
func (b *batch) publish() error {
	if len(b.ready) == 0 {
		return nil
	}
	d, err := linux.OpenDir(b.s.path("layers"))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := linux.Syncfs(d); err != nil {
		return err
	}
	for diffID, w := range b.ready {
		if err := b.s.placeLayer(filepath.Join(w.path, "layer"), diffID); err != nil {
			return fmt.Errorf("publish layer %s: %w", diffID, err)
		}
	}
	return d.Sync()
}

// placeLayer gives a layer its name, unless another process was faster.
func (s *Store) placeLayer(from, diffID string) error {
	for try := 0; ; try++ {
		err := linux.RenameNoReplace(from, s.layerDir(diffID))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if s.checkLayer(diffID) == nil {
			return nil
		}
		// What is there is damaged. A pod that has it mounted keeps what it has.
		if try == 3 {
			return err
		}
		if err := s.discard(s.layerDir(diffID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// serialize makes progress callable from several goroutines, and from nowhere when it is nil.
func serialize(f func(phase, item string, done, total int64)) func(string, string, int64, int64) {
	if f == nil {
		return func(string, string, int64, int64) {}
	}
	var mu sync.Mutex
	return func(phase, item string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		f(phase, item, done, total)
	}
}

// ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
