package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A download whose digest is not known before its end lies at the top of the layout, beside blobs/:
//
//	download-<sha256 of the URL, 16 digits>.partial        the bytes so far
//	download-<...>.partial.json                            by what the server will know the same version again
//
// The json is written before the first byte and removed before a partial file is emptied.

// validator identifies one version of a remote file.
type validator struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	Total        int64  `json:"total,omitempty"` // bytes; 0: unknown
}

func validatorOf(h http.Header, total int64) validator {
	v := validator{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified"), Total: max(total, 0)}
	if strings.HasPrefix(v.ETag, "W/") {
		v.ETag = "" // a weak one says "equivalent", not "the same bytes"
	}
	return v
}

// ifRange is the header's value, "" when there is no way to resume.
func (v validator) ifRange() string {
	if v.ETag != "" {
		return v.ETag
	}
	return v.LastModified
}

// partial is a download in progress.
type partial struct {
	root *os.Root
	name string
	file *os.File
	hash hash.Hash
	off  int64
	v    validator
}

func openPartial(root *os.Root, url string) (*partial, error) {
	sum := sha256.Sum256([]byte(url))
	p := &partial{root: root, name: "download-" + hex.EncodeToString(sum[:8]) + ".partial", hash: sha256.New()}
	f, err := root.OpenFile(p.name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create download: %w", err)
	}
	p.file = f
	// A fetcher that was killed may not be dead yet.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("create download: %s is being written by another process: %w", p.name, err)
	}
	if err := p.resume(); err != nil {
		f.Close()
		return nil, fmt.Errorf("resume download: %w", err)
	}
	return p, nil
}

func (p *partial) resume() error {
	b, err := p.root.ReadFile(p.name + ".json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || json.Unmarshal(b, &p.v) != nil || p.v.ifRange() == "" {
		return p.reset()
	}
	if p.off, err = io.Copy(p.hash, p.file); err != nil {
		return err
	}
	if p.v.Total > 0 && p.off > p.v.Total {
		return p.reset()
	}
	return nil
}

// reset drops all bytes, and the validator before them.
func (p *partial) reset() error {
	p.v = validator{}
	if err := p.root.Remove(p.name + ".json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.hash.Reset()
	p.off = 0
	return nil
}

// begin starts a version from its first byte.
func (p *partial) begin(v validator) error {
	if err := p.reset(); err != nil {
		return err
	}
	p.v = v
	if v.ifRange() == "" {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := p.root.OpenFile(p.name+".json", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.off += int64(n)
	return n, err
}

// commit gives the file its name as a blob.
func (p *partial) commit() (digest string, size int64, err error) {
	hexa := hex.EncodeToString(p.hash.Sum(nil))
	if err := p.root.MkdirAll("blobs/sha256", 0o755); err != nil {
		return "", 0, fmt.Errorf("commit download: %w", err)
	}
	if err := p.root.Remove(p.name + ".json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, fmt.Errorf("commit download: %w", err)
	}
	if err := p.root.Rename(p.name, "blobs/sha256/"+hexa); err != nil {
		return "", 0, fmt.Errorf("commit download: %w", err)
	}
	return "sha256:" + hexa, p.off, nil
}

func (p *partial) close() error { return p.file.Close() }

// discard drops a download that will not be resumed.
func (p *partial) discard() error {
	err := p.root.Remove(p.name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.root.Remove(p.name))
}
