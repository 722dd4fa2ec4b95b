package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressBar is one line on a terminal for all blobs that are on their way. It goes to stderr alone, and
// nowhere when that is no terminal.
type progressBar struct {
	mu    sync.Mutex
	done  map[string]int64
	total map[string]int64
	last  time.Time
	phase string
	shown bool
}

func (a *app) progress() func(phase, item string, done, total int64) {
	if !term.IsTerminal(2) {
		return nil
	}
	a.bar = &progressBar{done: map[string]int64{}, total: map[string]int64{}}
	return a.bar.update
}

func (a *app) endProgress() {
	if a.bar != nil {
		a.bar.clear()
	}
}

func (p *progressBar) update(phase, item string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if phase != p.phase {
		p.phase = phase
		clear(p.done)
		clear(p.total)
	}
	p.done[item], p.total[item] = done, max(done, total)
	if now := time.Now(); now.Sub(p.last) >= 100*time.Millisecond {
		p.last = now
		p.draw()
	}
}

func (p *progressBar) draw() {
	var done, total int64
	for k := range p.done {
		done, total = done+p.done[k], total+p.total[k]
	}
	width := 30
	filled := width
	if total > 0 {
		filled = int(int64(width) * done / total)
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[K%-10s [%s%s] %s of %s, %s", quoteControl(p.phase), strings.Repeat("=", filled),
		strings.Repeat(" ", width-filled), bytesize(done), bytesize(total), plural(len(p.done), "blob"))
	p.shown = true
}

func (p *progressBar) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		p.shown = false
	}
}
