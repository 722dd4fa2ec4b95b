package fetcher

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
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
	for _, err := range []error{syscall.EIO, nil} {
		if got := Unreadable("/srv/x", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
