package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The handshake is one line on the plugin's stdout:
//
//	1|<app protocol>|unix|<socket path>|grpc[|...]
//
// go-plugin parses it too, and more kindly than is good for what a stranger prints. So it is read here first,
// bounded, and only a line that is right is passed on.

// maxHandshake bounds the line: a socket's path has at most 107 bytes.
const maxHandshake = 1 << 10

type handshake struct {
	protocol int
	socket   string
}

// errProtocolVersion is wrapped by the error about a version that core does not speak.
var errProtocolVersion = errors.New("protocol version")

// parseHandshake reads the line. The socket must lie in dir itself, and the version be one of offered.
func parseHandshake(line, dir string, offered []int) (handshake, error) {
	bad := func(format string, args ...any) (handshake, error) {
		return handshake{}, fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), quote(line))
	}
	parts := strings.Split(strings.TrimRight(line, "\r\n"), "|")
	if len(parts) < 5 {
		return bad("printed something else than the handshake line on stdout")
	}
	if parts[0] != "1" {
		return bad("handshake of an unknown form")
	}
	version, err := strconv.Atoi(parts[1])
	if err != nil || version < 0 {
		return bad("handshake without a protocol version")
	}
	if !slices.Contains(offered, version) {
		return handshake{}, fmt.Errorf("%w: the plugin speaks %d, it was offered %s (%s)", errProtocolVersion, version, numbers(offered), advice(version, offered))
	}
	if parts[2] != "unix" || parts[4] != "grpc" {
		return bad("handshake names other than gRPC on a unix socket")
	}
	socket := parts[3]
	if filepath.Clean(socket) != socket || filepath.Dir(socket) != dir || strings.ContainsRune(socket, 0) {
		return bad("handshake names a socket that is not in the directory given to it")
	}
	return handshake{protocol: version, socket: socket}, nil
}

func quote(s string) string {
	const most = 160
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// errNoHandshake says that stdout ended before a line: the plugin closed it or died.
var errNoHandshake = errors.New("ended without a handshake")

// readHandshake reads and checks one line.
func readHandshake(r *bufio.Reader, dir string, offered []int) (line string, h handshake, err error) {
	b, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", h, fmt.Errorf("printed something else than the handshake line on stdout: %s", quote(string(b)))
	case errors.Is(err, io.EOF) && len(b) == 0:
		return "", h, errNoHandshake
	case err != nil && !errors.Is(err, io.EOF):
		return "", h, err
	}
	line = string(b)
	h, err = parseHandshake(line, dir, offered)
	return line, h, err
}
