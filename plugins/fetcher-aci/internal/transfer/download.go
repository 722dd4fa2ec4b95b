package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// maxTries without a single new byte end a download; any progress starts the count anew.
const maxTries = 4

// MaxDownload is the most that one image may have.
const MaxDownload = 64 << 30

// Blob downloads u into a blob of the layout directory dir, and goes on with what a former attempt left there.
// A broken connection is resumed while that makes progress.
func (c *Client) Blob(ctx context.Context, u, dir string, progress func(done, total int64)) (fetcher.Descriptor, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fetcher.Descriptor{}, fmt.Errorf("open layout: %w", err)
	}
	defer root.Close()
	p, err := openPartial(root, u)
	if err != nil {
		return fetcher.Descriptor{}, err
	}
	defer p.close()
	for try := 1; ; try++ {
		before := p.off
		again, err := c.attempt(ctx, u, p, progress)
		if err == nil {
			break
		}
		if p.off > before {
			try = 0
		}
		if !again || try >= maxTries || ctx.Err() != nil {
			if p.off == 0 || p.v.ifRange() == "" {
				err = errors.Join(err, p.discard())
			}
			return fetcher.Descriptor{}, err
		}
		if err := wait(ctx, c.backoff(try)); err != nil {
			return fetcher.Descriptor{}, err
		}
	}
	digest, size, err := p.commit()
	return fetcher.Descriptor{Digest: digest, Size: size}, err
}

// attempt is one request. again says that another one makes sense.
func (c *Client) attempt(ctx context.Context, u string, p *partial, progress func(done, total int64)) (again bool, err error) {
	header := http.Header{}
	if p.off > 0 {
		if p.v.Total > 0 && p.off == p.v.Total {
			return false, nil // only the commit was missing
		}
		header.Set("Range", "bytes="+strconv.FormatInt(p.off, 10)+"-")
		header.Set("If-Range", p.v.ifRange())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.do(ctx, u, header)
	if err != nil {
		return p.off > 0 && transient(err), err // a server that was never there is not waited for
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && p.off > 0 {
		return true, errors.Join(fetcher.NetworkUnreachable("get %s: %s", redact(u), resp.Status), p.reset())
	}
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent {
		return false, fetcher.NetworkUnreachable("get %s: %s instead of the image", redact(u), resp.Status)
	}
	if err := c.status(resp, u); err != nil {
		return p.off > 0 && resp.StatusCode >= 500, err
	}
	total := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		start, all, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || start != p.off || p.off == 0 || p.v.Total > 0 && all > 0 && all != p.v.Total {
			err := fetcher.NetworkUnreachable("get %s: asked for the bytes from %d, the server answers with %q", redact(u), p.off, resp.Header.Get("Content-Range"))
			return true, errors.Join(err, p.reset())
		}
		total = all
	} else if err := p.begin(validatorOf(resp.Header, total)); err != nil {
		return false, fmt.Errorf("start download: %w", err)
	}
	if total > MaxDownload {
		return false, fetcher.ImageInvalid("get %s: its %d bytes are more than an image may have", redact(u), total)
	}
	return c.copy(ctx, cancel, resp.Body, u, p, total, progress)
}

var errStalled = errors.New("nothing came for a minute")

func (c *Client) copy(ctx context.Context, cancel context.CancelCauseFunc, body io.Reader, u string, p *partial, total int64, progress func(done, total int64)) (again bool, err error) {
	stall := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stall.Stop()
	buf := make([]byte, 1<<17)
	for {
		n, rerr := body.Read(buf)
		stall.Reset(stallTimeout)
		if n > 0 {
			if p.off+int64(n) > MaxDownload {
				return false, fetcher.ImageInvalid("get %s: it has more bytes than an image may have", redact(u))
			}
			if _, err := p.Write(buf[:n]); err != nil {
				return false, fmt.Errorf("write download: %w", err)
			}
			if progress != nil {
				progress(p.off, max(total, 0))
			}
		}
		switch {
		case rerr == nil:
		case errors.Is(rerr, io.EOF) && (total < 0 || p.off == total):
			return false, nil
		default:
			if cause := context.Cause(ctx); cause != nil {
				rerr = cause
			} else if errors.Is(rerr, io.EOF) {
				rerr = io.ErrUnexpectedEOF
			}
			if errors.Is(rerr, context.Canceled) || errors.Is(rerr, context.DeadlineExceeded) {
				return false, rerr
			}
			return p.v.ifRange() != "" || p.off == 0, fetcher.NetworkUnreachable("get %s: the connection broke after %d bytes: %w", redact(u), p.off, rerr)
		}
	}
}

// contentRange reads "bytes START-END/TOTAL"; all is 0 for TOTAL "*".
func contentRange(s string) (start, all int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, ok := strings.Cut(s, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if err != nil || err2 != nil || start < 0 || end < start {
		return 0, 0, false
	}
	if total == "*" {
		return start, end + 1, true
	}
	all, err = strconv.ParseInt(total, 10, 64)
	return start, all, err == nil && end == all-1
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
