package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	moby "github.com/moby/profiles/seccomp"
	"golang.org/x/net/bpf"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// format is the version of this compiler and of the cache's files: raise it with every change of what comes
// out.
const format = 2

// InsnSize is the size of struct sock_filter, of which Filter returns an array.
const InsnSize = 8

// Filter returns the program for an app with these capabilities in its bounding set, as an array of struct
// sock_filter, and nil for SeccompUnconfined. arch is a GOARCH. cacheDir, which only root may write to, is made
// when it is missing; a cache that cannot be written is no error.
func Filter(mode poddir.SeccompMode, caps []string, arch, cacheDir string) ([]byte, error) {
	switch mode {
	case poddir.SeccompUnconfined:
		return nil, nil
	case poddir.SeccompDefault, "":
	default:
		return nil, fmt.Errorf("make seccomp filter: unknown mode %q", mode)
	}
	kernel, err := kernelVersion()
	if err != nil {
		return nil, fmt.Errorf("make seccomp filter: %w", err)
	}
	h := host{arch: arch, caps: slices.Compact(slices.Sorted(slices.Values(caps))), kernel: kernel}
	name := filepath.Join(cacheDir, "default-"+h.key()+".bpf")
	if prog, ok := load(name); ok {
		return prog, nil
	}
	insns, err := compile(moby.DefaultProfile(), h)
	if err != nil {
		return nil, fmt.Errorf("make seccomp filter: %w", err)
	}
	prog := encode(insns)
	_ = save(name, prog)
	return prog, nil
}

// key names everything that the program depends on.
func (h host) key() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		strconv.Itoa(format), profileVersion, h.arch, h.kernel.String(), strings.Join(h.caps, ","),
	}, "\n")))
	return fmt.Sprintf("%x", sum[:16])
}

// encode lays the instructions out as the kernel reads them: u16 code, u8 jt, u8 jf, u32 k, little-endian on
// all our architectures.
func encode(insns []bpf.RawInstruction) []byte {
	out := make([]byte, 0, len(insns)*InsnSize)
	for _, i := range insns {
		out = binary.LittleEndian.AppendUint16(out, i.Op)
		out = append(out, i.Jt, i.Jf)
		out = binary.LittleEndian.AppendUint32(out, i.K)
	}
	return out
}

// load reads a program that save wrote: its SHA-256, then itself. Anything else is as good as absent.
func load(name string) ([]byte, bool) {
	b, err := os.ReadFile(name)
	if err != nil || len(b) <= sha256.Size {
		return nil, false
	}
	prog := b[sha256.Size:]
	if len(prog)%InsnSize != 0 || len(prog) > maxLen*InsnSize || sha256.Sum256(prog) != [sha256.Size]byte(b) {
		return nil, false
	}
	return prog, true
}

// save renames the file into place: two starts at once write the same.
func save(name string, prog []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.Sum256(prog)
	if _, err := f.Write(append(sum[:], prog...)); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
