package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// Prefix starts the name of every host link of the built-in type; rules match it.
const Prefix = "rkt-"

// Entry is one link of one pod, as the rules see it.
type Entry struct {
	Pod        string
	HostIf     string
	IP4, IP6   netip.Addr // invalid: the link lacks that family
	Leave      bool       // may reach beyond the host
	Masquerade bool       // with the host's address
	Ports      []ledger.Port
}

// Entries gives those of a record.
func Entries(r *ledger.Record) []Entry {
	var all []Entry
	for _, a := range r.Attachments {
		if l := a.Link; l != nil {
			all = append(all, Entry{
				Pod: r.Pod, HostIf: l.HostIf, IP4: l.IP4, IP6: l.IP6,
				Leave: l.DefaultRoute, Masquerade: l.Masquerade, Ports: a.Ports,
			})
		}
	}
	return all
}

// elements gives what an entry puts into each set, in a fixed order.
func (e *Entry) elements(t *table) []addition {
	var all []addition
	add := func(s *nftables.Set, key, val []byte) {
		all = append(all, addition{s, nftables.SetElement{Key: key, Val: val, Comment: e.Pod}})
	}
	for i, ip := range []netip.Addr{e.IP4, e.IP6} {
		if !ip.IsValid() {
			continue
		}
		f := &t.fam[i]
		add(f.from, append(ifname(e.HostIf), ip.AsSlice()...), nil)
		if e.Leave {
			add(f.out, ip.AsSlice(), nil)
			if e.Masquerade {
				add(f.masq, ip.AsSlice(), nil)
			} else {
				add(f.open, ip.AsSlice(), nil)
			}
		}
		published := false
		for _, p := range e.Ports {
			to := append(ip.AsSlice(), port(p.PodPort)...)
			from := append(proto(p.Protocol), port(p.HostPort)...)
			switch {
			case !p.HostIP.IsValid(), p.HostIP.IsUnspecified() && p.HostIP.Is4() == ip.Is4():
				add(f.ports, from, to)
			case p.HostIP.Is4() == ip.Is4():
				add(f.portsAt, append(p.HostIP.AsSlice(), from...), to)
			default:
				continue // the other family's
			}
			published = true
		}
		if published && !e.Leave {
			add(f.masqIn, ip.AsSlice(), nil)
		}
		if published {
			add(f.hairpin, append(ip.AsSlice(), ip.AsSlice()...), nil)
		}
	}
	return all
}

type addition struct {
	set     *nftables.Set
	element nftables.SetElement
}

// ifname is a link's name as nftables compares it: 16 bytes, zero padded.
func ifname(s string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, s)
	return b
}

// port and proto are parts of a concatenation, each padded to a register of four bytes.
func port(p uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, p), 0, 0) }

func proto(name string) []byte {
	n := byte(unix.IPPROTO_TCP)
	switch name {
	case "udp":
		n = unix.IPPROTO_UDP
	case "sctp":
		n = unix.IPPROTO_SCTP
	}
	return []byte{n, 0, 0, 0}
}
