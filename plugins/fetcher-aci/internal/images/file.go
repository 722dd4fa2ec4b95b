package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// file delivers an ACI of this host, with FILE.asc beside it or the signature that the user has named.
func (j *job) file(ctx context.Context, path string) (fetcher.Result, error) {
	if !filepath.IsAbs(path) {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: the path is not absolute, and a fetcher does not know where you are", j.req.Reference)
	}
	f := j.req.Source // opened by the caller, who may read what this user may not
	if f == nil {
		var err error
		if f, err = openRegular(path); err != nil {
			return fetcher.Result{}, err
		}
		defer f.Close()
	}
	// The signature first: without one there is no use in copying gigabytes.
	sigs, err := j.fileSignature(ctx, path)
	if err != nil {
		return fetcher.Result{}, err
	}
	image, err := j.layout.File(ctx, fetcher.Descriptor{}, f, j.progress.Item(fetcher.PhaseCopy, filepath.Base(path)))
	if err != nil {
		return fetcher.Result{}, fmt.Errorf("copy %s: %w", path, err)
	}
	return j.done(ctx, image, sigs, nil)
}

func (j *job) fileSignature(ctx context.Context, path string) ([]fetcher.Descriptor, error) {
	switch {
	case j.req.Access.SignatureFile != "":
		return j.givenSignature(ctx)
	case !j.req.Access.WantSignature:
		return nil, nil
	}
	b, err := readFile(path+".asc", maxSignature)
	if errors.Is(err, os.ErrNotExist) {
		return nil, unsigned("%s: there is no signature beside it (%s.asc); name one with --signature=FILE", path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	d, err := j.blob(ctx, SignatureType, b)
	return []fetcher.Descriptor{d}, err
}

// unsigned refuses before the image is moved. core would refuse it after.
func unsigned(format string, args ...any) error {
	return plugin.Errorf(reason.SignatureRejected, format+", or run it unsigned with --insecure-options=image", args...)
}

// openRegular never waits for what is no regular file.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fetcher.Unreadable(path, err)
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, fetcher.ReferenceInvalid("%s is not a regular file", path)
	}
	return f, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return b, err
}
