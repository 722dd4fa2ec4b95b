package unpack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// Job is one layer to unpack.
type Job struct {
	Dir       string    // the empty directory to fill; everything above it belongs to this user alone
	Blob      io.Reader // the compressed layer; the caller digests it as it is read
	Journal   *os.File  // open for writing
	Lock      *os.File  // stays open as long as the child lives; not a directory. May be nil
	Algorithm string    // of the diffID: "sha256" or "sha512"
	Limits    Limits
}

// maxResult bounds what the child may say: maxOpaque paths would fit, and nothing near that is real.
const maxResult = 64 << 20

// Run unpacks a layer in a child and marks its opaque directories. An error may come with the directory half
// full; the caller throws it away. The blob has been read to its end when the error is nil.
func Run(ctx context.Context, j Job) (*Result, error) {
	if os.Getenv(envMark) != "" {
		return nil, errors.New("this program does not dispatch " + Verb + ": call unpack.Main from main")
	}
	confined := os.Geteuid() == 0
	arg, err := json.Marshal(order{Algorithm: j.Algorithm, Confine: confined, Limits: j.Limits.withDefaults()})
	if err != nil {
		return nil, err
	}
	stdin, blob, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	result, resultW, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, err
	}
	defer result.Close()
	// As much as an unprivileged user may have; fewer wake-ups. A refusal changes nothing.
	_, _ = unix.FcntlInt(blob.Fd(), unix.F_SETPIPE_SZ, 1<<20)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", Verb, string(arg))
	cmd.Args[0] = "rkt"
	cmd.Dir = j.Dir
	cmd.Env = []string{envMark + "=1"}
	cmd.Stdin = stdin
	stderr := &tail{}
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{resultW, j.Journal}
	if j.Lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, j.Lock)
	}
	if confined {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	}
	err = cmd.Start()
	stdin.Close()
	resultW.Close()
	if err != nil {
		return nil, fmt.Errorf("start the unpacker: %w", err)
	}
	fed := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(onlyWriter{blob}, onlyReader{j.Blob}, make([]byte, chunkSize))
		blob.Close()
		fed <- err
	}()
	answer, readErr := io.ReadAll(io.LimitReader(result, maxResult))
	if readErr != nil || len(answer) == maxResult {
		cancel()
	}
	waitErr := cmd.Wait()
	feedErr := <-fed
	early := errors.Is(feedErr, unix.EPIPE) // the child gave up first and says why
	if early {
		feedErr = nil
	}
	var res Result
	switch {
	case ctx.Err() != nil && len(answer) == 0:
		return nil, context.Cause(ctx)
	case feedErr != nil:
		return nil, feedErr // the child's complaint about a short stream would only hide it
	case waitErr != nil:
		return nil, fmt.Errorf("the unpacker died: %w%s", waitErr, stderr)
	case json.Unmarshal(answer, &res) != nil:
		return nil, fmt.Errorf("the unpacker gave no answer%s", stderr)
	case res.Error != "" && res.Host:
		return nil, errors.New(printable(res.Error))
	case res.Error != "":
		return nil, &LayerError{printable(res.Error)}
	case early:
		return nil, errors.New("the unpacker did not read the layer to its end")
	}
	return &res, markOpaque(j.Dir, res.Opaque, confined)
}

// LayerError says what is wrong with a layer, as opposed to this host.
type LayerError struct{ what string }

func (e *LayerError) Error() string { return e.what }

// printable bounds what the child says and takes out what a terminal would act on.
func printable(s string) string {
	if len(s) > 8<<10 {
		s = s[:8<<10]
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '\uFFFD'
		}
		return c
	}, s)
}

// markOpaque sets overlayfs's attribute on directories that the confined child named. What it says is believed
// only as far as it lies below dir.
func markOpaque(dir string, paths []string, root bool) error {
	if len(paths) == 0 {
		return nil
	}
	d, err := linux.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	name := "trusted.overlay.opaque"
	if !root {
		name = "user.overlay.opaque" // for mounts with userxattr
	}
	for _, p := range paths {
		fd, err := linux.Openat2(int(d.Fd()), p, unix.O_RDONLY|unix.O_DIRECTORY, 0, linux.Beneath)
		if err == nil {
			err = unix.Fsetxattr(fd, name, []byte("y"), 0)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("mark directory %s opaque: %w", quote(p), err)
		}
	}
	return nil
}

// tail keeps the end of what the child says on standard error, for the message about its death.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2048
	t.b = append(t.b, p...)
	if len(t.b) > most {
		t.b = append(t.b[:0], t.b[len(t.b)-most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(t.b), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + quote(string(line))
}

// onlyWriter and onlyReader keep io.Copy from splice(2): the bytes must pass through the caller's digest.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }
