package fetcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func TestUnreadable(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		class error
		says  string
	}{{syscall.EACCES, fs.ErrPermission, "chmod o+r"}, {syscall.ENOENT, fs.ErrNotExist, "open /srv/x: file does not exist"}} {
		err := Unreadable("/srv/x", &os.PathError{Op: "open", Path: "/proc/self/fd/3", Err: c.errno})
		pe := (*plugin.Error)(nil)
		if !errors.As(err, &pe) || pe.Reason != reason.ImageNotFound || !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.errno, err)
		}
	}
	err := Unreadable("/srv/x", &os.PathError{Op: "openat", Path: "blobs/sha256", Err: syscall.ENOENT})
	if !strings.Contains(err.Error(), "open /srv/x/blobs/sha256: file") {
		t.Errorf("below the path: %v", err)
	}
	for _, err := range []error{syscall.EIO, nil} {
		if got := Unreadable("/srv/x", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// What ocilayout refuses has a reason of its own, unless the plugin has given it one.
func TestReasoned(t *testing.T) {
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{fmt.Errorf("blob: %w", ocilayout.ErrMismatch), reason.DigestMismatch},
		{fmt.Errorf("read: %w", ocilayout.ErrInvalid), reason.ImageInvalid},
		{fmt.Errorf("create: %w", ocilayout.ErrBusy), reason.Busy},
		{fmt.Errorf("x: %w", NotFound("%w", ocilayout.ErrMismatch)), reason.ImageNotFound},
		{errors.New("else"), ""},
	} {
		e, _ := errors.AsType[*plugin.Error](reasoned(c.err))
		if c.want == "" && e == nil {
			continue
		}
		if e == nil || e.Reason != c.want {
			t.Errorf("%v: %+v, want %s", c.err, e, c.want)
		}
	}
}
