package fetcher

import (
	"sync"
	"time"

	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// Phases of progress.
const (
	PhaseDownload = "download"
	PhaseCopy     = "copy"
	PhaseConvert  = "convert"
)

// Step is one line of progress: one item is one blob.
type Step struct {
	Phase string
	Item  string // a digest or a file name
	Done  int64  // bytes; never falls
	Total int64  // bytes; 0: unknown
}

// Progress tells rkt how far a fetch is. It may be used from several goroutines, and as often as one likes: it
// passes on at most ten steps a second for each item, and its first and last. A nil *Progress swallows all.
type Progress struct {
	send func(Step) error

	mu   sync.Mutex
	last map[string]sent
}

type sent struct {
	at   time.Time
	done int64
}

const stepInterval = 100 * time.Millisecond

// NewProgress passes the steps to send, never two at once. It is for tests: Main makes the real one.
func NewProgress(send func(Step) error) *Progress {
	return &Progress{send: send, last: map[string]sent{}}
}

// Report notes that done of total bytes of an item are there.
func (p *Progress) Report(phase, item string, done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := phase + "\x00" + item
	last, seen := p.last[key]
	if seen && done < last.done {
		done = last.done // a resumed or repeated request; bars never go back
	}
	if seen && (done == last.done || done != total && time.Since(last.at) < stepInterval) {
		return
	}
	p.last[key] = sent{time.Now(), done}
	_ = p.send(Step{phase, item, done, total}) // an error here is the end of the RPC, which ctx tells
}

// Item returns a function for sdk/ocilayout that reports one item.
func (p *Progress) Item(phase, item string) func(done, total int64) {
	return func(done, total int64) { p.Report(phase, item, done, total) }
}

// Items returns a function for sdk/ocilayout that reports each item by its name.
func (p *Progress) Items(phase string) func(item string) ocilayout.Progress {
	return func(item string) ocilayout.Progress { return p.Item(phase, item) }
}
