package failure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// Schema is the version of a record.
const Schema = 1

// Bounds of what plugins can make rkt keep.
const (
	MaxLog     = 64 << 10 // bytes of stderr in a record, the last ones
	maxMessage = 8 << 10
	maxRecords = 64 // the oldest goes first
)

// Record is one failure.
type Record struct {
	Schema    int       `json:"schema"`
	Plugin    string    `json:"plugin"`
	Version   string    `json:"version"`
	Directory string    `json:"directory"`
	Time      time.Time `json:"time"`
	Verb      string    `json:"verb"` // what was asked of it
	Reason    string    `json:"reason"`
	Message   string    `json:"message"`
	Log       []string  `json:"log"` // lines of stderr
}

// Log is a directory of records.
type Log struct{ dir string }

// Open names the directory; it is made when it is needed.
func Open(dir string) *Log { return &Log{dir: filepath.Clean(dir)} }

const suffix = ".json"

func (l *Log) path(name string) string { return filepath.Join(l.dir, name+suffix) }

// Write keeps r as the last failure of its plugin and returns the file.
func (l *Log) Write(r Record) (string, error) {
	if !manifest.ValidName(r.Plugin) {
		return "", fmt.Errorf("record failure: %q is no plugin's name", r.Plugin)
	}
	r.Schema = Schema
	r.Log = tail(r.Log, MaxLog)
	r.Message = r.Message[:min(len(r.Message), maxMessage)]
	r.Verb = r.Verb[:min(len(r.Verb), maxMessage)]
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("record failure: %w", err)
	}
	// 0700 and 0600: a plugin's words may hold what only root should see.
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return "", fmt.Errorf("record failure: %w", err)
	}
	if err := atomicfile.Write(l.path(r.Plugin), append(b, '\n'), 0o600); err != nil {
		return "", err
	}
	l.trim()
	return l.path(r.Plugin), nil
}

// tail is the last lines that fit.
func tail(lines []string, most int) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if most -= len(lines[i]) + 1; most < 0 { // empty lines count, too
			return lines[i+1:]
		}
	}
	return lines
}

// trim drops the oldest records over the bound, and what killed writers left.
func (l *Log) trim() {
	names, err := os.ReadDir(l.dir)
	if err != nil {
		return
	}
	type aged struct {
		path string
		time time.Time
	}
	var files []aged
	for _, n := range names {
		fi, err := n.Info()
		switch {
		case err != nil:
		case atomicfile.IsTemp(n.Name()):
			if time.Since(fi.ModTime()) > time.Hour {
				os.Remove(filepath.Join(l.dir, n.Name()))
			}
		default:
			files = append(files, aged{filepath.Join(l.dir, n.Name()), fi.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b aged) int { return b.time.Compare(a.time) })
	for _, f := range files[min(len(files), maxRecords):] {
		os.Remove(f.path)
	}
}

// Read returns the last failure of a plugin, or fs.ErrNotExist.
func (l *Log) Read(name string) (*Record, error) {
	if !manifest.ValidName(name) {
		return nil, fmt.Errorf("read failure: %q is no plugin's name", name)
	}
	b, err := os.ReadFile(l.path(name))
	if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", l.path(name), err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("read %s: schema is %d, this rkt reads %d", l.path(name), r.Schema, Schema)
	}
	return &r, nil
}

// List returns every record, the youngest first. One that cannot be read is in the error and keeps no other back.
func (l *Log) List() ([]Record, error) {
	names, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Record
	var errs []error
	for _, n := range names {
		name, ok := strings.CutSuffix(n.Name(), suffix)
		if !ok || !manifest.ValidName(name) {
			continue
		}
		r, err := l.Read(name)
		switch {
		case err == nil:
			out = append(out, *r)
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	slices.SortFunc(out, func(a, b Record) int { return b.Time.Compare(a.Time) })
	return out, errors.Join(errs...)
}
