package supervisor

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
)

// console keeps the end of what the guest's kernel and the VMM print. The guest can print as much as it likes.
type console struct {
	mu  sync.Mutex
	buf []byte
}

const (
	consoleSize  = 64 << 10
	consoleLines = 15
)

// pipe returns the end to write to, and reads the other until all writers are gone.
func (c *console) pipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer r.Close()
		_, _ = io.Copy(c, r)
	}()
	return w, nil
}

// Write keeps the last bytes.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, b...)
	if over := len(c.buf) - consoleSize; over > 0 {
		c.buf = append(c.buf[:0], c.buf[over:]...)
	}
	return len(b), nil
}

// tail is the last lines, fit for a terminal.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := escapes().ReplaceAll(c.buf, nil)
	if _, after, ok := bytes.Cut(text, []byte("Booting from ROM")); ok { // the firmware's own lines
		text = bytes.TrimLeft(after, ". ")
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	lines = lines[max(0, len(lines)-consoleLines):]
	return printable(string(bytes.Join(lines, []byte("\n"))))
}

// escapes are a terminal's, which firmware sends as if there was one.
func escapes() *regexp.Regexp { return regexp.MustCompile(`\x1b(\[[0-9;?]*[A-Za-z]|.)|\r`) }

// printable makes text of a guest harmless for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '?'
	}, s)
}
