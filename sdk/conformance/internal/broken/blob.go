package broken

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// blob puts a blob in its place: what open gives from an offset on, behind what a former attempt left.
func (j *job) blob(d descriptor, open func(off int64) (io.ReadCloser, error)) error {
	if j.skip[d.Digest] {
		return nil
	}
	hexa, ok := strings.CutPrefix(d.Digest, "sha256:")
	if _, err := hex.DecodeString(hexa); !ok || err != nil || len(hexa) != 64 {
		return fail(reason.ImageInvalid, "digest %q", d.Digest)
	}
	name := filepath.Join(j.dir, "blobs", "sha256", hexa)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fail(reason.Internal, "%v", err)
	}
	hasty := j.is("trusts-its-own-haste")
	if _, err := os.Stat(name); err == nil && (hasty || j.is("trusts-what-is-there")) {
		return nil
	} else if sum, err := digest(name); err == nil && sum == hexa {
		return nil
	}
	partial := name + ".partial"
	if hasty {
		partial = name
	}
	if fi, err := os.Stat(partial); err == nil && fi.Size() > 0 && j.is("is-confused-by-partial-files") {
		return fail(reason.Internal, "%s is there already", filepath.Base(partial))
	}
	for attempt := range 2 {
		err := j.download(d, partial, open, attempt > 0 || j.is("starts-again"))
		if err == nil && partial == name {
			return nil
		}
		if err == nil {
			if err := os.Rename(partial, name); err != nil {
				return fail(reason.Internal, "%v", err)
			}
			return nil
		}
		// What was there before may have been the fault; with nothing there it is the server's.
		if attempt > 0 || !errors.Is(err, errResumed) {
			return err
		}
	}
	return nil
}

// errResumed is joined to errors of a blob of which a part was there.
var errResumed = errors.New("after resumption")

func (j *job) download(d descriptor, partial string, open func(off int64) (io.ReadCloser, error), fresh bool) error {
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fail(reason.Internal, "%v", err)
	}
	defer f.Close()
	h := sha256.New()
	off, err := io.Copy(h, f)
	if err == nil && (fresh || off > d.Size) {
		off, err = 0, errors.Join(f.Truncate(0), seek(f))
		h.Reset()
	}
	if err != nil {
		return fail(reason.Internal, "%v", err)
	}
	resumed := func(err error) error {
		if off > 0 {
			return &joined{err}
		}
		return err
	}
	body, err := open(off)
	if err != nil {
		return resumed(err)
	}
	defer body.Close()
	var r io.Reader = io.LimitReader(body, d.Size-off+1)
	if j.is("keeps-blobs-in-memory") {
		b, _ := io.ReadAll(r)
		r = bytes.NewReader(b)
	}
	n, err := j.copy(io.MultiWriter(f, h), r, d, off)
	if err != nil {
		if errors.Is(err, context.Canceled) || j.ctx.Err() != nil {
			return j.ctx.Err()
		}
		if j.is("takes-a-break-for-a-lie") {
			return fail(reason.DigestMismatch, "%v", err)
		}
		return fail(reason.NetworkUnreachable, "%v", err)
	}
	if off+n != d.Size && !j.is("believes-any-size") && !j.is("believes-any-bytes") {
		if off+n < d.Size {
			return resumed(fail(reason.NetworkUnreachable, "%d of %d bytes", off+n, d.Size))
		}
		return resumed(fail(reason.DigestMismatch, "more than %d bytes", d.Size))
	}
	short := j.is("believes-any-size") && off+n != d.Size
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != d.Digest && !j.is("believes-any-bytes") && !short {
		return resumed(fail(reason.DigestMismatch, "%s instead of %s", got, d.Digest))
	}
	return nil
}

// joined marks an error without hiding its gRPC status.
type joined struct{ error }

func (e *joined) Unwrap() error        { return e.error }
func (e *joined) Is(target error) bool { return target == errResumed }

func seek(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// copy copies and tells how far it is.
func (j *job) copy(w io.Writer, r io.Reader, d descriptor, off int64) (int64, error) {
	buf := make([]byte, 64<<10)
	var n int64
	last := time.Time{}
	for {
		m, err := r.Read(buf)
		if _, werr := w.Write(buf[:m]); werr != nil {
			return n, werr
		}
		n += int64(m)
		if time.Since(last) > 20*time.Millisecond || err != nil {
			last = time.Now()
			done := min(off+n, d.Size)
			if j.is("counts-backwards") {
				done = d.Size - done
			}
			_ = j.send(&fetcherv1.FetchEvent{Event: &fetcherv1.FetchEvent_Progress{Progress: &fetcherv1.Progress{
				Phase: "download", Item: d.Digest, Done: done, Total: d.Size,
			}}})
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
