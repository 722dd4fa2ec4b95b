package hostnet

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Listener is a socket of the host that waits for peers.
type Listener struct {
	Addr   netip.AddrPort
	V6Only bool
}

// Sizes and places in struct inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h.
const (
	diagReqLen = 56
	diagMsgLen = 72
	tcpListen  = 10
	tcpClose   = 7  // the state of an unconnected UDP socket
	diagSKV6   = 11 // INET_DIAG_SKV6ONLY
)

// Listeners asks the kernel (sock_diag) for the sockets that wait on a port. No capability is needed. Trying to
// bind would need CAP_NET_BIND_SERVICE, which a network plugin lacks.
func Listeners(protocol string, port uint16) ([]Listener, error) {
	proto, states := byte(unix.IPPROTO_TCP), uint32(1<<tcpListen)
	switch protocol {
	case "udp":
		proto, states = unix.IPPROTO_UDP, 1<<tcpClose
	case "sctp":
		return nil, nil // its diag module lists associations, and sctp services on a host are rare
	}
	var all []Listener
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		req := make(diagRequest, diagReqLen)
		req[0], req[1] = family, proto
		binary.NativeEndian.PutUint32(req[4:], states)
		binary.BigEndian.PutUint16(req[8:], port) // idiag_sport: the udp dump filters by it, tcp's too
		msg := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		msg.AddData(req)
		socks, err := msg.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			return procListeners(protocol, port)
		}
		for _, b := range socks {
			if l, ok := parseDiag(b); ok && l.Addr.Port() == port {
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// Takes says whether l gets packets for addr (invalid: any address).
func (l Listener) Takes(addr netip.Addr) bool {
	own := l.Addr.Addr()
	switch {
	case !addr.IsValid(), own == addr:
		return true
	case addr.IsUnspecified():
		return own.Is4() == addr.Is4() || own.IsUnspecified() && !l.V6Only
	case own.IsUnspecified():
		return own.Is4() == addr.Is4() || own.Is6() && !l.V6Only
	}
	return false
}

type diagRequest []byte

func (r diagRequest) Len() int          { return len(r) }
func (r diagRequest) Serialize() []byte { return r }

func parseDiag(b []byte) (Listener, bool) {
	if len(b) < diagMsgLen {
		return Listener{}, false
	}
	port := binary.BigEndian.Uint16(b[4:])
	var l Listener
	switch b[0] {
	case unix.AF_INET:
		l.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:12])), port)
	case unix.AF_INET6:
		l.Addr = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port)
	default:
		return l, false
	}
	for rest := b[diagMsgLen:]; len(rest) >= unix.SizeofRtAttr; {
		n, typ := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if n < unix.SizeofRtAttr || n > len(rest) {
			break
		}
		if typ == diagSKV6 && n > unix.SizeofRtAttr {
			l.V6Only = rest[unix.SizeofRtAttr] != 0
		}
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return l, true
}
