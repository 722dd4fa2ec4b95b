package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Sink takes a blob's bytes: an *ocilayout.Writer.
type Sink interface {
	io.Writer
	Offset() int64 // what is there already, and where Write goes on
	Reset() error  // drop it all
}

// worthwhile is how much must come before broken connections are counted anew. A blob of 10 GB over a bad line
// may break a hundred times; a server that sends one byte each time may not.
const worthwhile = 1 << 20

const bufferSize = 256 << 10

// Blob streams the blob into w until it is whole, resuming after broken connections. It checks the size; the
// digest is for whoever made w. An error of w ends it.
func (c *Client) Blob(ctx context.Context, d v1.Descriptor, w Sink, progress func(done, total int64)) error {
	t := tries{tuning: c.tuning}
	high := w.Offset()
	for w.Offset() < d.Size {
		err := c.stream(ctx, d, w, progress)
		if err == nil {
			continue // loop's condition: an answer may be short without being broken
		}
		if w.Offset() >= high+worthwhile {
			high = w.Offset()
			t.reset()
		}
		if err := t.again(ctx, err); err != nil {
			return fmt.Errorf("download blob %s: %w", d.Digest, err)
		}
	}
	return nil
}

// stream makes one request from w's offset on.
func (c *Client) stream(ctx context.Context, d v1.Descriptor, w Sink, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h := http.Header{"Accept": {"*/*"}}
	if off := w.Offset(); off > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
	}
	resp, err := c.get(ctx, "blobs", string(d.Digest), h)
	if err != nil {
		if errors.Is(err, errRange) {
			return errors.Join(w.Reset(), err)
		}
		return err
	}
	defer resp.Body.Close()
	if err := c.place(resp, d, w); err != nil {
		return err
	}
	body := c.watch(resp.Body, cancel)
	buf := make([]byte, bufferSize)
	for {
		n, rerr := body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return writeError(err)
			}
			if progress != nil {
				progress(w.Offset(), d.Size)
			}
		}
		switch {
		case rerr == io.EOF && w.Offset() < d.Size:
			return &temporary{err: plugin.Errorf(reason.DigestMismatch, "%s sends %d of %d bytes", c.ref.Registry, w.Offset(), d.Size)}
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return c.transportError(ctx, resp.Request.URL, rerr)
		}
	}
}

// place brings w to the offset that the answer starts at, or refuses the answer.
func (c *Client) place(resp *http.Response, d v1.Descriptor, w Sink) error {
	if resp.Header.Get("Content-Encoding") != "" {
		return plugin.Errorf(reason.DigestMismatch, "%s sends it with a content encoding that was not asked for", c.ref.Registry)
	}
	start := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		var total int64
		var ok bool
		if start, total, ok = contentRange(resp.Header.Get("Content-Range")); !ok || start != w.Offset() || total != d.Size {
			if err := w.Reset(); err != nil {
				return err
			}
			return &temporary{err: plugin.Errorf(reason.DigestMismatch, "%s answers another range than was asked for", c.ref.Registry)}
		}
	} else if w.Offset() > 0 { // it does not know ranges: from the start
		if err := w.Reset(); err != nil {
			return err
		}
	}
	if resp.ContentLength >= 0 && start+resp.ContentLength != d.Size {
		return plugin.Errorf(reason.DigestMismatch, "%s has %d bytes of it, the manifest says %d", c.ref.Registry, start+resp.ContentLength, d.Size)
	}
	return nil
}

// contentRange reads "bytes 10-19/20".
func contentRange(s string) (start, total int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, _ := strings.Cut(rest, "/")
	from, _, _ := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(from, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	return start, total, err1 == nil && err2 == nil && start >= 0
}

// writeError keeps a full disk from being tried again.
func writeError(err error) error {
	if tmp, ok := errors.AsType[*temporary](err); ok {
		return tmp.err
	}
	return err
}

// watch gives every single read of a body a limit. Time in which nobody reads does not count.
func (c *Client) watch(body io.Reader, cancel context.CancelCauseFunc) io.Reader {
	t := time.AfterFunc(c.tuning.Stall, func() { cancel(errStalled) })
	t.Stop()
	return &watched{body, t, c.tuning.Stall}
}

type watched struct {
	r     io.Reader
	timer *time.Timer
	limit time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	defer w.timer.Stop()
	return w.r.Read(p)
}
