package firewall

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// batch is one transaction: netlink messages between BATCH_BEGIN and BATCH_END, all in the inet family. Only the last
// message asks for an acknowledgement, so the whole costs one send and one receive; a message that fails is
// reported all the same. (nftables.Conn asks for one each, which for a table is 60 receives, and 5 to 10 times slower.)
type batch struct {
	buf  []byte
	last int // where the last message starts
	seq  uint32
	err  error
}

func (b *batch) message(typ uint16, flags uint16, family byte, resource uint16, payload ...[]byte) {
	b.seq++
	b.last = len(b.buf)
	b.buf = append(b.buf, make([]byte, unix.SizeofNlMsghdr)...)
	b.buf = append(b.buf, family, unix.NFNETLINK_V0)
	b.buf = binary.BigEndian.AppendUint16(b.buf, resource)
	for _, p := range payload {
		b.buf = append(b.buf, p...)
	}
	h := b.buf[b.last:]
	binary.NativeEndian.PutUint32(h, uint32(len(h)))
	binary.NativeEndian.PutUint16(h[4:], typ)
	binary.NativeEndian.PutUint16(h[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(h[8:], b.seq)
}

func (b *batch) nft(typ uint16, flags uint16, attrs ...[]byte) {
	if b.seq == 0 {
		b.message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	}
	b.message(nftType(typ), flags, unix.NFPROTO_INET, 0, attrs...)
}

// finish ends the batch and gives its bytes and the sequence number that will be acknowledged.
func (b *batch) finish() ([]byte, uint32) {
	flags := b.buf[b.last+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	seq := b.seq
	b.message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	return b.buf, seq
}

func (b *batch) addTable() {
	b.nft(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, text(unix.NFTA_TABLE_NAME, Name))
}
func (b *batch) delTable() { b.nft(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, Name)) }

func (b *batch) addSet(s *nftables.Set) {
	flags := uint32(0)
	if s.IsMap {
		flags = unix.NFT_SET_MAP
	}
	attrs := [][]byte{
		text(unix.NFTA_SET_TABLE, Name), text(unix.NFTA_SET_NAME, s.Name),
		number(unix.NFTA_SET_FLAGS, flags), number(unix.NFTA_SET_ID, b.seq+1),
		number(unix.NFTA_SET_KEY_TYPE, s.KeyType.GetNFTMagic()), number(unix.NFTA_SET_KEY_LEN, s.KeyType.Bytes),
		// For nft, which shows keys by it.
		attr(unix.NFTA_SET_USERDATA, userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, 2)),
	}
	if s.IsMap {
		attrs = append(attrs, number(unix.NFTA_SET_DATA_TYPE, s.DataType.GetNFTMagic()),
			number(unix.NFTA_SET_DATA_LEN, s.DataType.Bytes))
	}
	b.nft(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, attrs...)
}

// addChain adds a chain that rules jump to.
func (b *batch) addChain(name string) {
	b.nft(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, text(unix.NFTA_CHAIN_TABLE, Name), text(unix.NFTA_CHAIN_NAME, name))
}

// addBase adds a chain that the kernel calls; it accepts by default.
func (b *batch) addBase(name string, typ nftables.ChainType, hook nftables.ChainHook, prio nftables.ChainPriority) {
	b.nft(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		text(unix.NFTA_CHAIN_TABLE, Name), text(unix.NFTA_CHAIN_NAME, name),
		nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, uint32(hook)), number(unix.NFTA_HOOK_PRIORITY, uint32(prio))),
		number(unix.NFTA_CHAIN_POLICY, uint32(nftables.ChainPolicyAccept)), text(unix.NFTA_CHAIN_TYPE, string(typ)))
}

func (b *batch) addRule(chain string, r rule) {
	var exprs [][]byte
	for _, e := range r {
		one, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil && b.err == nil {
			b.err = err
		}
		exprs = append(exprs, attr(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, one))
	}
	b.nft(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		text(unix.NFTA_RULE_TABLE, Name), text(unix.NFTA_RULE_CHAIN, chain), nested(unix.NFTA_RULE_EXPRESSIONS, exprs...))
}

func (b *batch) addElements(s *nftables.Set, all []nftables.SetElement) {
	b.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, s, all)
}

func (b *batch) delElements(s *nftables.Set, all []nftables.SetElement) {
	b.elements(unix.NFT_MSG_DELSETELEM, 0, s, all)
}

func (b *batch) elements(typ, flags uint16, s *nftables.Set, all []nftables.SetElement) {
	var list [][]byte
	for _, e := range all {
		parts := [][]byte{nested(unix.NFTA_SET_ELEM_KEY, attr(unix.NFTA_DATA_VALUE, e.Key))}
		if s.IsMap {
			parts = append(parts, nested(unix.NFTA_SET_ELEM_DATA, attr(unix.NFTA_DATA_VALUE, e.Val)))
		}
		if e.Comment != "" {
			parts = append(parts, attr(unix.NFTA_SET_ELEM_USERDATA,
				userdata.AppendString(nil, userdata.NFTNL_UDATA_SET_ELEM_COMMENT, e.Comment)))
		}
		list = append(list, nested(unix.NFTA_LIST_ELEM, parts...))
	}
	b.nft(typ, flags, text(unix.NFTA_SET_ELEM_LIST_TABLE, Name), text(unix.NFTA_SET_ELEM_LIST_SET, s.Name),
		nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, list...))
}

func nftType(t uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | t }

// attr is a netlink attribute, padded to four bytes.
func attr(typ uint16, data []byte) []byte {
	b := make([]byte, 0, unix.SizeofNlAttr+len(data)+3)
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func text(typ uint16, s string) []byte { return attr(typ, append([]byte(s), 0)) }

func number(typ uint16, v uint32) []byte { return attr(typ, binary.BigEndian.AppendUint32(nil, v)) }

func nested(typ uint16, parts ...[]byte) []byte {
	var data []byte
	for _, p := range parts {
		data = append(data, p...)
	}
	return attr(typ|unix.NLA_F_NESTED, data)
}
