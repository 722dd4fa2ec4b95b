package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/source"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func ownedBy(path string, uid int) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && int(st.Uid) == uid
}

const kills = 6

// killed kills at random moments of a fetch's length. The kit's registry is slow then, so that there are some.
func killed(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		start := time.Now()
		_, want, blobs, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		took := max(time.Since(start), 20*time.Millisecond)
		if t.server != nil {
			t.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
				t.server.Answer(&trickle{ResponseWriter: w}, r)
				return true
			}
			took = 300 * time.Millisecond
		}
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		for range kills {
			if err := t.killAfter(ctx, e, dir, e.Between(took)); err != nil {
				return err
			}
		}
		got, err := t.once(ctx, e, dir)
		if err != nil {
			return fmt.Errorf("after %d kills: %w", kills, err)
		}
		if err := reaches(dir, got, want, blobs); err != nil {
			return fmt.Errorf("after %d kills: %w", kills, err)
		}
		return nil
	})
}

// killAfter kills a fetch. One that was faster is none the worse.
func (t target) killAfter(ctx context.Context, e *suite.Env, dir string, moment time.Duration) error {
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { _, _ = t.fetch(ctx, p, dir); close(done) }()
	select {
	case <-time.After(moment):
	case <-done:
	}
	p.Kill()
	<-done
	return p.Close()
}

// trickle writes 32 KiB at a time with pauses.
type trickle struct{ http.ResponseWriter }

func (t *trickle) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := t.ResponseWriter.Write(b[n:min(len(b), n+32<<10)])
		n += m
		if err != nil {
			return n, err
		}
		_ = http.NewResponseController(t.ResponseWriter).Flush()
		time.Sleep(5 * time.Millisecond) // the server is meant to be slow
	}
	return n, nil
}

// stall makes the registry send n bytes of layer and fall silent, the first time. reached is closed then, and released
// when the plugin has let go of the connection.
func stall(s *source.Server, layer layout.Descriptor, n int64) (reached, released chan struct{}) {
	reached, released = make(chan struct{}), make(chan struct{})
	var first sync.Once
	s.Hook = func(w http.ResponseWriter, r *http.Request) bool {
		stalled := false
		if source.IsLayer(r, layer) && r.Method == http.MethodGet {
			first.Do(func() {
				s.Part(w, layer, n)
				close(reached)
				<-r.Context().Done()
				close(released)
				stalled = true
			})
		}
		return stalled
	}
	return reached, released
}

func resumedRegistry(ctx context.Context, e *suite.Env) error {
	const size, sent = 4 << 20, 3 << 20
	t, err := docker(e, false, size)
	if err != nil {
		return err
	}
	layer := t.server.Image.Layers[0]
	stall(t.server, layer, sent)
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { _, err := t.fetch(ctx, p, dir); done <- err }()
	partial := filepath.Join(dir, layout.BlobName(layer.Digest)+".partial")
	if err := grown(ctx, partial, sent/2, done); err != nil {
		return err
	}
	p.Kill()
	<-done
	t.server.Hook = nil
	before := len(t.server.Requests(layer.Digest))
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	if err := layout.Check(dir, got.image()); err != nil {
		return err
	}
	for _, r := range t.server.Requests(layer.Digest)[before:] {
		if r.Method == http.MethodGet && r.Range == "" {
			return fmt.Errorf("%d bytes of a layer were in %s, and it was fetched from its start again", sent, filepath.Base(partial))
		}
	}
	return nil
}

// grown waits for a file of at least size bytes.
func grown(ctx context.Context, path string, size int64, done chan error) error {
	for {
		if fi, err := os.Stat(path); err == nil && fi.Size() >= size {
			return nil
		}
		select {
		case err := <-done:
			done <- err
			return fmt.Errorf("the fetch ended while its server was silent: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no partial file %s with the bytes that came: %w", filepath.Base(path), ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// planted makes a layout directory of the plugin's with what write leaves for each blob, whose place in it is path; write
// returns the file that it wrote.
func planted(e *suite.Env, blobs []string, write func(i int, blob, path string) (string, error)) (dir string, err error) {
	if dir, err = e.Dir(); err != nil {
		return "", err
	}
	sub := filepath.Join(dir, "blobs", "sha256")
	if err := errors.Join(os.MkdirAll(sub, 0o755), e.Give(filepath.Dir(sub)), e.Give(sub)); err != nil {
		return "", err
	}
	for i, b := range blobs {
		if len(b) != 64 {
			continue
		}
		file, err := write(i, b, filepath.Join(sub, b))
		if err := errors.Join(err, e.Give(file)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// damaged plants what a crash of the machine can leave: names without their bytes.
func damaged(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		_, want, blobs, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		dir, err := planted(e, blobs, func(i int, _, path string) (string, error) {
			if i%2 == 1 {
				path += ".partial"
			}
			return path, os.WriteFile(path, []byte("not these bytes"), 0o644)
		})
		if err != nil {
			return err
		}
		got, err := t.once(ctx, e, dir)
		if err != nil {
			return fmt.Errorf("over damaged files: %w", err)
		}
		return reaches(dir, got, want, blobs)
	})
}

func cancelled(ctx context.Context, e *suite.Env) error {
	ts, err := targets(e)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if err := t.cancel(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", t.name(), err)
		}
	}
	return nil
}

func (t target) cancel(ctx context.Context, e *suite.Env) error {
	moment, released := make(chan struct{}), make(chan struct{})
	if t.server != nil {
		moment, released = stall(t.server, t.server.Image.Layers[1], 1000)
	} else {
		time.AfterFunc(e.Between(10*time.Millisecond), func() { close(moment) })
	}
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return err
	}
	rpc, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := t.fetch(rpc, p, dir); done <- err }()
	select {
	case <-moment:
	case err := <-done:
		done <- err
	}
	cancel()
	err = <-done // the client's side ends at once; the plugin's is seen by how it ends itself
	if t.server != nil {
		if err == nil {
			return errors.New("a fetch whose server is silent succeeded")
		}
		if layout.Indexed(dir) {
			return errors.New("a cancelled fetch left an index.json")
		}
		select {
		case <-released:
		case <-time.After(e.Within(endLimit)):
			return fmt.Errorf("%v after the cancellation it still holds the connection to the registry", endLimit)
		}
	}
	p.CutLifeline()
	if _, err := p.Wait(e.Within(endLimit)); err != nil {
		return fmt.Errorf("after a cancelled fetch and the end of its standard input %w", err)
	}
	if t.server != nil {
		t.server.Hook = nil
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("after a cancelled fetch: %w", err)
	}
	return layout.Check(dir, got.image())
}

func lifelineRegistry(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 2000)
	if err != nil {
		return err
	}
	reached, _ := stall(t.server, t.server.Image.Layers[0], 1000)
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { _, err := t.fetch(ctx, p, dir); done <- err }()
	select {
	case <-reached:
	case err := <-done:
		return fmt.Errorf("the fetch ended while its server was silent: %w", err)
	}
	p.CutLifeline()
	if _, err := p.Wait(e.Within(endLimit)); err != nil {
		return fmt.Errorf("in the middle of a fetch, after the end of its standard input %w", err)
	}
	if err := <-done; err == nil {
		return errors.New("a fetch whose server is silent succeeded")
	} else if errors.Is(err, io.EOF) || strings.TrimSpace(err.Error()) == "" {
		return fmt.Errorf("the fetch ended with %w", err)
	}
	return nil
}
