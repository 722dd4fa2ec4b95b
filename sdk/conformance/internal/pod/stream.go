package pod

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// stream keeps what a supervisor and its apps print.
type stream struct {
	r    *os.File
	mu   sync.Mutex
	b    []byte
	done chan struct{}
}

func newStream() (*stream, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	s := &stream{r: r, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			s.mu.Lock()
			if len(s.b) < 4<<20 {
				s.b = append(s.b, buf[:n]...)
			}
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s, w, nil
}

func (s *stream) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.b)
}

func (s *stream) close() { s.r.Close(); <-s.done }

// Lines are what the apps said to the kit so far.
func (p *Pod) Lines() []string { return Lines(p.out.text()) }

// Lines picks what is for the kit out of a text. A terminal ends lines with \r\n.
func Lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if _, said, ok := strings.Cut(line, testapp.Mark); ok && strings.HasSuffix(line, "\n") {
			out = append(out, strings.TrimRight(said, "\r\n"))
		}
	}
	return out
}

// Hear waits until an app says text.
func (p *Pod) Hear(limit time.Duration, text string) error {
	return p.Until(limit, fmt.Sprintf("the app's word %q", text), func() bool {
		for _, line := range p.Lines() {
			if line == text {
				return true
			}
		}
		return false
	})
}

// Report waits for an app's report.
func (p *Pod) Report(limit time.Duration, tag string) (*testapp.Report, error) {
	var r *testapp.Report
	err := p.Until(limit, "report "+tag, func() bool {
		r = Find(p.Lines(), tag)
		return r != nil
	})
	return r, err
}

// Find looks for the report of that tag.
func Find(lines []string, tag string) *testapp.Report {
	for _, line := range lines {
		var r testapp.Report
		if json.Unmarshal([]byte(line), &r) == nil && r.Tag == tag {
			return &r
		}
	}
	return nil
}
