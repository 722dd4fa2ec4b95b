package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// FileName is the lock's name below the administrator's configuration directory.
const FileName = "plugins.lock"

// Schema is the version of plugins.lock.
const Schema = 1

// maxFile bounds plugins.lock.
const maxFile = 4 << 20

// File is plugins.lock.
type File struct {
	Schema  int            `json:"schema"`
	Plugins map[string]Pin `json:"plugins"` // by the plugin's name
}

// Pin is what one name may be.
type Pin struct {
	// Digest is that of all files together: the name of the plugin's copy below pins/ (core/pin).
	Digest string `json:"digest"`
	// Files are the SHA-256 sums of plugin.json, exec and programs. They say which file it was that changed.
	Files map[string]string `json:"files"`
	// Version, Directory and Time are for people: what it was, where and when. They are not compared.
	Version   string    `json:"version"`
	Directory string    `json:"directory"`
	Time      time.Time `json:"time"`
}

// Read reads the lock below a configuration directory. There is none: an empty one.
func Read(configDir string) (*File, error) {
	path := filepath.Join(configDir, FileName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Schema: Schema, Plugins: map[string]Pin{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read plugin lock: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read plugin lock: %w", err)
	}
	out, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("read plugin lock %s: %w (no plugin is run meanwhile; remove the file to have no lock)", path, err)
	}
	return out, nil
}

func parse(b []byte) (*File, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var f File
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if f.Schema != Schema {
		return nil, fmt.Errorf("schema is %d, this rkt reads %d", f.Schema, Schema)
	}
	for name, p := range f.Plugins {
		if !manifest.ValidName(name) {
			return nil, fmt.Errorf("%q is no plugin's name", name)
		}
		if !validSum(p.Digest) {
			return nil, fmt.Errorf("%s: %q is no SHA-256 digest", name, p.Digest)
		}
		for file, sum := range p.Files {
			if !validSum(sum) {
				return nil, fmt.Errorf("%s: %q: %q is no SHA-256 digest", name, file, sum)
			}
		}
	}
	if f.Plugins == nil {
		f.Plugins = map[string]Pin{}
	}
	return &f, nil
}

// validSum says whether s is a SHA-256 sum in lower-case hex.
func validSum(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

// Change reads the lock, lets change work on it, and writes it if change says so. Others wait meanwhile.
func Change(ctx context.Context, configDir string, change func(*File) (bool, error)) error {
	if err := os.MkdirAll(configDir, 0o755); err != nil {
		return fmt.Errorf("write plugin lock: %w", err)
	}
	dir, err := linux.OpenDir(configDir)
	if err != nil {
		return fmt.Errorf("write plugin lock: %w", err)
	}
	defer dir.Close()
	if err := linux.Lock(ctx, dir); err != nil {
		return fmt.Errorf("write plugin lock: %w", err)
	}
	f, err := Read(configDir)
	if err != nil {
		return err
	}
	if write, err := change(f); err != nil || !write {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write plugin lock: %w", err)
	}
	return atomicfile.Write(filepath.Join(configDir, FileName), append(b, '\n'), 0o644)
}

// Differing names the files whose sums are not those of the pin, and those that only one side has.
func (p Pin) Differing(found map[string]string) []string {
	var out []string
	for name, sum := range p.Files {
		if found[name] != sum {
			out = append(out, name)
		}
	}
	for name := range found {
		if _, ok := p.Files[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
