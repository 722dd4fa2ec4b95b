package firewall

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers: 1 is the 16-byte register that simple matches use; concatenations start at the first 4-byte one.
const (
	reg   = 1
	reg32 = unix.NFT_REG32_00
)

const (
	ctEstablishedRelated = 2 | 4  // NF_CT_STATE_BIT of ESTABLISHED and RELATED
	ctNew                = 8      // ... of NEW
	ipsDstNAT            = 1 << 5 // IPS_DST_NAT of enum ip_conntrack_status
)

// rule is a sequence of expressions under construction.
type rule []expr.Any

func (t *table) addRules(b *batch) {
	rules := func(chain string, all ...rule) {
		for _, r := range all {
			b.addRule(chain, r)
		}
	}
	base := func(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, all ...rule) {
		b.addBase(name, typ, *hook, *prio)
		rules(name, all...)
	}
	v4, v6 := &t.fam[0], &t.fam[1]

	// What a pod sends must bear its own address. Loopback as a destination is only ever an attempt on the
	// host's own services: package ptp sets route_localnet on links with published ports. (IPv6 drops both by itself.)
	b.addChain("from-pod")
	rules("from-pod",
		is4().daddr4().masked(mask8).eq(ip127).drop(),
		is4().iifname16().load4(saddr, reg32+4).in(v4.from, reg32).verdict(expr.VerdictReturn, ""),
		is4().drop(),
		is6().load(16, saddr, reg).masked(mask10).eq(ipLinkLocal).verdict(expr.VerdictReturn, ""),
		is6().load(16, saddr, reg).eq(zero16).verdict(expr.VerdictReturn, ""), // duplicate address detection
		is6().iifname16().load(16, saddr, reg32+4).in(v6.from, reg32).verdict(expr.VerdictReturn, ""),
		is6().drop(),
	)
	base("antispoof", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		rule{}.iif(expr.CmpOpEq).verdict(expr.VerdictJump, "from-pod"))

	b.addChain("publish")
	rules("publish",
		is4().load4(daddr, reg32).l4proto(reg32+1).dport(reg32+2).lookup(v4.portsAt).dnat(unix.NFPROTO_IPV4),
		is4().l4proto(reg32).dport(reg32+1).lookup(v4.ports).dnat(unix.NFPROTO_IPV4),
		is6().load(16, daddr, reg32).l4proto(reg32+4).dport(reg32+5).lookup(v6.portsAt).dnat(unix.NFPROTO_IPV6),
		is6().l4proto(reg32).dport(reg32+1).lookup(v6.ports).dnat(unix.NFPROTO_IPV6),
	)
	toHost := rule{}.local().verdict(expr.VerdictJump, "publish")
	base("publish-forwarded", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, toHost)
	base("publish-own", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, toHost)

	base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter,
		rule{}.ct(expr.CtKeySTATE, ctEstablishedRelated).verdict(expr.VerdictAccept, ""),
		// From a pod that may not leave the host.
		is4().iif(expr.CmpOpEq).oif(expr.CmpOpNeq).load4(saddr, reg).notIn(v4.out, reg).drop(),
		is6().iif(expr.CmpOpEq).oif(expr.CmpOpNeq).load(16, saddr, reg).notIn(v6.out, reg).drop(),
		// To a pod behind masquerading, past its published ports: a neighbour of the host that routes by hand.
		is4().iif(expr.CmpOpNeq).oif(expr.CmpOpEq).ctNot(expr.CtKeySTATUS, ipsDstNAT).load4(daddr, reg).notIn(v4.open, reg).drop(),
		is6().iif(expr.CmpOpNeq).oif(expr.CmpOpEq).ctNot(expr.CtKeySTATUS, ipsDstNAT).load(16, daddr, reg).notIn(v6.open, reg).drop(),
	)

	base("leave", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
		// The host used a published port by its loopback address, which must not appear on the link.
		is4().oif(expr.CmpOpEq).saddr4().masked(mask8).eq(ip127).masquerade(),
		is6().oif(expr.CmpOpEq).load(16, saddr, reg).eq(ipLoopback6).masquerade(),
		// A pod used its own published port: without a foreign source it would answer itself, past conntrack.
		is4().load4(saddr, reg32).load4(daddr, reg32+1).in(v4.hairpin, reg32).masquerade(),
		is6().load(16, saddr, reg32).load(16, daddr, reg32+4).in(v6.hairpin, reg32).masquerade(),
		is4().oif(expr.CmpOpEq).ct(expr.CtKeySTATUS, ipsDstNAT).load4(daddr, reg).in(v4.masqIn, reg).masquerade(),
		is6().oif(expr.CmpOpEq).ct(expr.CtKeySTATUS, ipsDstNAT).load(16, daddr, reg).in(v6.masqIn, reg).masquerade(),
		is4().oif(expr.CmpOpNeq).load4(saddr, reg).in(v4.masq, reg).masquerade(),
		is6().oif(expr.CmpOpNeq).load(16, saddr, reg).in(v6.masq, reg).masquerade(),
	)
}

// Networks and addresses as bytes.
const (
	zero14 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	zero16 = zero14 + "\x00\x00"

	mask8       = "\xff\x00\x00\x00"
	ip127       = "\x7f\x00\x00\x00"
	mask10      = "\xff\xc0" + zero14
	ipLinkLocal = "\xfe\x80" + zero14
	ipLoopback6 = zero14 + "\x00\x01"
)

// Offsets of addresses are told apart by kind, the header by the length that is loaded.
type address int

const (
	saddr address = iota
	daddr
)

func is4() rule { return rule{}.nfproto(unix.NFPROTO_IPV4) }
func is6() rule { return rule{}.nfproto(unix.NFPROTO_IPV6) }

func (r rule) nfproto(p byte) rule {
	return append(r, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg}, cmp(expr.CmpOpEq, []byte{p}))
}

// iif and oif compare the first bytes of a link's name, so they match the prefix.
func (r rule) iif(op expr.CmpOp) rule {
	return append(r, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, cmp(op, []byte(Prefix)))
}

func (r rule) oif(op expr.CmpOp) rule {
	return append(r, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}, cmp(op, []byte(Prefix)))
}

func (r rule) iifname16() rule {
	return append(r, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32})
}

func (r rule) l4proto(to uint32) rule {
	return append(r, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: to})
}

// dport loads the destination port, which TCP, UDP and SCTP keep at one place.
func (r rule) dport(to uint32) rule {
	return append(r, &expr.Payload{DestRegister: to, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
}

func (r rule) load(n uint32, a address, to uint32) rule {
	offset := uint32(8) // of an IPv6 source
	if n == 4 {
		offset = 12
	}
	if a == daddr {
		offset += n
	}
	return append(r, &expr.Payload{DestRegister: to, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n})
}

func (r rule) load4(a address, to uint32) rule { return r.load(4, a, to) }
func (r rule) saddr4() rule                    { return r.load(4, saddr, reg) }
func (r rule) daddr4() rule                    { return r.load(4, daddr, reg) }

func (r rule) masked(mask string) rule {
	return append(r, &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: uint32(len(mask)), Mask: []byte(mask), Xor: make([]byte, len(mask)),
	})
}

func (r rule) eq(b string) rule { return append(r, cmp(expr.CmpOpEq, []byte(b))) }

// local matches packets for an address of this host.
func (r rule) local() rule {
	return append(r, &expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true},
		cmp(expr.CmpOpEq, native32(unix.RTN_LOCAL)))
}

func (r rule) ct(key expr.CtKey, bits uint32) rule { return r.ctBits(key, bits, expr.CmpOpNeq) }

func (r rule) ctNot(key expr.CtKey, bits uint32) rule { return r.ctBits(key, bits, expr.CmpOpEq) }

func (r rule) ctBits(key expr.CtKey, bits uint32, op expr.CmpOp) rule {
	return append(r, &expr.Ct{Key: key, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: native32(bits), Xor: make([]byte, 4)},
		cmp(op, make([]byte, 4)))
}

func (r rule) in(s *nftables.Set, from uint32) rule {
	return append(r, &expr.Lookup{SourceRegister: from, SetName: s.Name, SetID: s.ID})
}

func (r rule) notIn(s *nftables.Set, from uint32) rule {
	return append(r, &expr.Lookup{SourceRegister: from, SetName: s.Name, SetID: s.ID, Invert: true})
}

// lookup replaces the key in the registers by the map's value; without one the rule ends here.
func (r rule) lookup(m *nftables.Set) rule {
	return append(r, &expr.Lookup{SourceRegister: reg32, DestRegister: reg32, IsDestRegSet: true, SetName: m.Name, SetID: m.ID})
}

func (r rule) dnat(nfproto uint32) rule {
	port := uint32(reg32 + 1)
	if nfproto == unix.NFPROTO_IPV6 {
		port = reg32 + 4
	}
	return append(r, &expr.NAT{Type: expr.NATTypeDestNAT, Family: nfproto, RegAddrMin: reg32, RegProtoMin: port})
}

func (r rule) masquerade() rule { return append(r, &expr.Masq{FullyRandom: true}) }

func (r rule) drop() rule { return append(r, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}) }

func (r rule) verdict(k expr.VerdictKind, chain string) rule {
	return append(r, &expr.Verdict{Kind: k, Chain: chain})
}

func cmp(op expr.CmpOp, b []byte) *expr.Cmp { return &expr.Cmp{Op: op, Register: reg, Data: b} }

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
