package process

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ line, err string }{
		{"1|1|unix|/d/s|grpc\n", ""},
		{"1|1|unix|/d/s|grpc", ""},
		{"1|1|unix|/d/s|grpc|more|of|it\r\n", ""},
		{"", "no handshake line"},
		{"hello", "no handshake line"},
		{"2|1|unix|/d/s|grpc", "no handshake line"},
		{"1|1|tcp|127.0.0.1:1|grpc", "no handshake line"},
		{"1|1|unix|/d/s|netrpc", "no handshake line"},
		{"1|x|unix|/d/s|grpc", "no protocol version"},
		{"1|2|unix|/d/s|grpc", "another protocol version: it speaks 2"},
		{"1|1|unix|/e/s|grpc", "not in PLUGIN_UNIX_SOCKET_DIR"},
		{"1|1|unix|/d/sub/s|grpc", "not in PLUGIN_UNIX_SOCKET_DIR"},
		{"1|1|unix|/d/../d/s|grpc", "not in PLUGIN_UNIX_SOCKET_DIR"},
	} {
		h, err := parse(c.line, "/d")
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %+v, %v, want %q", c.line, h, err, c.err)
		}
	}
}

// What parse takes names a socket of the directory.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1|1|unix|/d/s|grpc", "1|1|unix|/d/..|grpc", "1|1|unix|/d|grpc", "|||||", "1|1|unix|/d/\x00|grpc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h, err := parse(line, "/d")
		if err == nil && (filepath.Dir(h.Socket) != "/d" || h.Protocol != 1) {
			t.Errorf("%q: %+v", line, h)
		}
	})
}
