package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Bounds of what a plugin's stderr can do to core.
const (
	maxLine    = 16 << 10 // the rest of a longer line is dropped
	maxLines   = 10_000   // logged per process; the rest is read, counted and dropped
	keepBytes  = 64 << 10 // kept for a crash report
	crashLines = 20       // of these, shown
	maxAttrs   = 32       // of one JSON line
)

// drain reads a plugin's stderr to its end, as fast as it comes, so that the plugin never blocks on it. Lines of
// hclog's JSON form go to the log with their level; others are the words of a runtime or a library.
type drain struct {
	log  *slog.Logger
	done chan struct{}

	mu      sync.Mutex
	tail    []string
	bytes   int
	logged  int
	dropped int
}

func newDrain(log *slog.Logger) *drain { return &drain{log: log, done: make(chan struct{})} }

func (d *drain) run(r io.Reader) {
	defer close(d.done)
	br := bufio.NewReaderSize(r, maxLine)
	long := false
	for {
		b, err := br.ReadSlice('\n')
		if len(b) > 0 && !long {
			d.line(strings.TrimRight(string(b), "\r\n"))
		}
		long = err == bufio.ErrBufferFull
		if err != nil && !long {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dropped > 0 {
		d.log.Warn("plugin logs too much", "dropped", d.dropped)
	}
}

func (d *drain) line(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tail = append(d.tail, s)
	d.bytes += len(s) + 1 // a flood of empty lines is one, too
	for d.bytes > keepBytes && len(d.tail) > 1 {
		d.bytes -= len(d.tail[0]) + 1
		d.tail = d.tail[1:]
	}
	if d.logged >= maxLines {
		d.dropped++
		return
	}
	d.logged++
	d.emit(s)
}

func (d *drain) emit(s string) {
	ctx := context.Background()
	if level, msg, attrs, ok := parseLog(s); ok {
		if d.log.Enabled(ctx, level) {
			d.log.LogAttrs(ctx, level, msg, attrs...)
		}
		return
	}
	d.log.Debug(printable(s)) // of a panic too: the error of the crash ends with it
}

// parseLog reads one JSON line of hclog's form.
func parseLog(s string) (level slog.Level, msg string, attrs []slog.Attr, ok bool) {
	if !strings.HasPrefix(s, "{") {
		return 0, "", nil, false
	}
	var m map[string]any
	if json.Unmarshal([]byte(s), &m) != nil {
		return 0, "", nil, false
	}
	msg, ok = m["@message"].(string)
	if !ok {
		return 0, "", nil, false
	}
	text, _ := m["@level"].(string)
	switch text {
	case "trace":
		level = slog.LevelDebug - 4
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		level = slog.LevelInfo
	}
	for k, v := range m {
		if strings.HasPrefix(k, "@") || len(attrs) == maxAttrs {
			continue
		}
		attrs = append(attrs, slog.Any(printable(k), v))
	}
	return level, printable(msg), attrs, true
}

// kept returns what is left of all lines, as they came.
func (d *drain) kept() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tail)
}

// last returns the last lines, fit for a terminal: of JSON lines their message and error.
func (d *drain) last() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	tail := d.tail
	if len(tail) > crashLines {
		// A Go traceback says the most on its first lines.
		if i := panicAt(tail); i >= 0 {
			tail = tail[i:]
			tail = tail[:min(len(tail), crashLines)]
		} else {
			tail = tail[len(tail)-crashLines:]
		}
	}
	var out []string
	for _, s := range tail {
		if _, msg, attrs, ok := parseLog(s); ok {
			for _, a := range attrs {
				if a.Key == "error" || a.Key == "err" {
					msg += ": " + printable(a.Value.String())
				}
			}
			s = msg
		}
		if s = printable(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func panicAt(lines []string) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "panic: ") || strings.HasPrefix(lines[i], "fatal error: ") {
			return i
		}
	}
	return -1
}
