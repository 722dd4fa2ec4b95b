package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// mount is one cgroup v1 hierarchy: where it is mounted, and which of its directories is there.
type mount struct {
	root  string // path inside the hierarchy that the mount shows
	point string
}

// readMounts returns the mounted v1 hierarchies by controller. Names of mount points mean nothing here: a
// controller is where mountinfo says it is.
func readMounts() (map[string]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMounts(f)
}

// parseMounts reads lines of
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime [optional...] - cgroup cgroup rw,memory
//
// The last mount of a controller wins unless it shows less of the hierarchy than an earlier one.
func parseMounts(r io.Reader) (map[string]mount, error) {
	out := map[string]mount{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // an overlay's lower directories make long lines
	for s.Scan() {
		head, tail, ok := strings.Cut(s.Text(), " - ")
		if !ok {
			continue
		}
		fields, fs := strings.Fields(head), strings.Fields(tail)
		if len(fields) < 6 || len(fs) < 3 || fs[0] != "cgroup" {
			continue
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
		for _, opt := range strings.Split(fs[2], ",") {
			if old, dup := out[opt]; dup && len(old.root) < len(m.root) {
				continue
			}
			out[opt] = m
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	return out, nil
}

// unescape undoes mountinfo's \040-style octal escapes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) && s[i+1] < '4' {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
