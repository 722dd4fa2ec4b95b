package process

import (
	"bytes"
	"os"
	"strings"
	"sync"
)

// keep bounds what is remembered of a stream; the rest is read, counted and dropped.
const keep = 1 << 20

// output reads a stream of the plugin to its end, as fast as it comes, so that the plugin never blocks on it.
type output struct {
	r        *os.File
	lineRead chan struct{} // closed after the first line, or the end

	mu    sync.Mutex
	kept  []byte
	total int64
	lines int64
	done  chan struct{}
}

func newOutput() (*output, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	o := &output{r: r, lineRead: make(chan struct{}), done: make(chan struct{})}
	go o.run()
	return o, w, nil
}

func (o *output) run() {
	defer close(o.done)
	buf := make([]byte, 64<<10)
	first := sync.OnceFunc(func() { close(o.lineRead) })
	defer first()
	for {
		n, err := o.r.Read(buf)
		o.mu.Lock()
		o.total += int64(n)
		o.lines += int64(bytes.Count(buf[:n], []byte("\n")))
		if room := keep - len(o.kept); room > 0 {
			o.kept = append(o.kept, buf[:min(n, room)]...)
		}
		if o.lines > 0 || len(o.kept) == keep {
			first()
		}
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (o *output) firstLine() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	line, _, _ := bytes.Cut(o.kept, []byte("\n"))
	return string(line[:min(len(line), 1<<10)])
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}

func (o *output) close() { o.r.Close(); <-o.done }

// Stdout is all that came, the handshake line included.
func (p *Process) Stdout() string { return p.stdout.text() }

// Stderr is the first part of what was logged, with the number of all lines and bytes.
func (p *Process) Stderr() (text string, lines, total int64) {
	text = p.stderr.text()
	p.stderr.mu.Lock()
	defer p.stderr.mu.Unlock()
	return text, p.stderr.lines, p.stderr.total
}

// Drained waits until the plugin's streams are at their end: it, and whoever inherited them, has closed them.
func (p *Process) Drained() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-p.stdout.done
		<-p.stderr.done
		close(done)
	}()
	return done
}

// lastWords is for messages.
func (p *Process) lastWords() string {
	lines := strings.Split(strings.TrimSpace(p.stderr.text()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return "; it said: " + last[:min(len(last), 300)]
	}
	return ""
}
