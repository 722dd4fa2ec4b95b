package hostnet

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// procListeners reads /proc/net/{tcp,udp}{,6}, for kernels without sock_diag of the protocol.
func procListeners(protocol string, port uint16) ([]Listener, error) {
	state := "0A" // TCP_LISTEN
	if protocol == "udp" {
		state = "07" // TCP_CLOSE
	}
	var all []Listener
	for _, name := range []string{protocol, protocol + "6"} {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			continue // no IPv6
		}
		found, err := parseProcNet(f, state, port)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("list listening %s sockets: %w", protocol, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// parseProcNet reads lines like "  0: 0100007F:1F90 00000000:0000 0A ...": addresses as 32-bit words in the host's
// byte order. Whether a socket is for IPv6 alone is not told, so it counts as both.
func parseProcNet(r io.Reader, state string, port uint16) ([]Listener, error) {
	var all []Listener
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != state {
			continue
		}
		ip, p, ok := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(p, 16, 16)
		if !ok || err != nil || uint16(n) != port {
			continue
		}
		b, err := hex.DecodeString(ip)
		if err != nil || len(b) != 4 && len(b) != 16 {
			continue
		}
		for i := 0; i < len(b); i += 4 {
			binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
		}
		addr, _ := netip.AddrFromSlice(b)
		all = append(all, Listener{Addr: netip.AddrPortFrom(addr.Unmap(), port)})
	}
	return all, lines.Err()
}
