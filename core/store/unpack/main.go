package unpack

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Verb is argv[1] of the child. main() calls Main when it sees it, before anything else.
const Verb = "unpack-layer"

// envMark is in the child's environment. A program that does not dispatch Verb would come here a second time,
// and the child of a child again: Run refuses when it sees the mark.
const envMark = "RKT_UNPACK_LAYER"

// Descriptors of the child. Standard input is the blob, standard error is for crashes.
const (
	fdResult  = 3
	fdJournal = 4
	fdLock    = 5 // held, never used: the lock of the directory being filled lives as long as this process
)

// order is argv[2] of the child.
type order struct {
	Algorithm string `json:"algorithm"` // of the diffID
	Confine   bool   `json:"confine"`
	Limits    Limits `json:"limits"`
}

// Main is the child. The working directory is the one to fill. It returns the exit status: 0 when the result
// was written, whatever it says.
func Main(args []string) int {
	if os.Getenv(envMark) == "" || len(args) != 1 {
		fmt.Fprintf(os.Stderr, "%s: is started by rkt itself, not by hand\n", Verb)
		return 2
	}
	// The terminal's signals are for the parent; it kills this process when it gives up, and when the parent
	// is killed, standard input ends.
	signal.Ignore(unix.SIGINT, unix.SIGHUP, unix.SIGTERM, unix.SIGPIPE, unix.SIGXFSZ)
	out := os.NewFile(fdResult, "result")
	res, err := run(args[0])
	if err != nil {
		res.Error, res.Host = err.Error(), hostError(err)
	}
	if err := json.NewEncoder(out).Encode(res); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Verb, err)
		return 1
	}
	return 0
}

// hostError tells a full disk from a bad archive.
func hostError(err error) bool {
	var confinement *confineError
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.ENOMEM, unix.EPERM, unix.EACCES, unix.EMFILE,
		unix.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &confinement)
}

type confineError struct{ err error }

func (e *confineError) Error() string { return "confine the unpacker: " + e.err.Error() }

func run(arg string) (Result, error) {
	var o order
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return Result{}, fmt.Errorf("read order: %w", err)
	}
	for _, fd := range []int{fdResult, fdJournal, fdLock} {
		unix.CloseOnExec(fd)
	}
	if err := bound(o.Limits); err != nil {
		return Result{}, err
	}
	if o.Confine {
		if err := confine(); err != nil {
			return Result{}, &confineError{err}
		}
	}
	var h hash.Hash
	switch o.Algorithm {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return Result{}, errors.New("unknown digest algorithm")
	}
	unix.Umask(0)
	root, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Result{}, fmt.Errorf("open the layer's directory: %w", err)
	}
	l := newLayer(root, os.NewFile(fdJournal, "journal"), o.Limits, !o.Confine)
	if err := l.unpack(os.Stdin, h); err != nil {
		return Result{}, err
	}
	l.res.DiffID = o.Algorithm + ":" + hex.EncodeToString(h.Sum(nil))
	return l.res, nil
}
