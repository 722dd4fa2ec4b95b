package firewall

import "github.com/google/nftables"

// Name of the table. A later change to the sets renames one of them (so that Add finds it missing and the caller
// replaces the whole table), a later change to the rules alone renames "from4", whose content is never lost
// because Replace rebuilds it.
const Name = "rkt"

// table describes the table; nothing of it exists in the kernel by being described.
type table struct {
	*nftables.Table
	fam [2]family // IPv4, IPv6
}

// family holds the sets of one address family.
type family struct {
	from    *nftables.Set // link . source address: what a pod may send as
	out     *nftables.Set // addresses that may leave the host
	masq    *nftables.Set // ... masqueraded
	open    *nftables.Set // ... as they are; these can be reached from outside, too
	masqIn  *nftables.Set // addresses without a route beyond the host: what comes in is masqueraded, so that they can answer
	hairpin *nftables.Set // address . the same address: pods that publish ports and may use them
	ports   *nftables.Set // protocol . port of any local address -> address . port
	portsAt *nftables.Set // address . protocol . port -> address . port
}

func describe() *table {
	t := &table{Table: &nftables.Table{Name: Name, Family: nftables.TableFamilyINet}}
	set := func(name string, key ...nftables.SetDatatype) *nftables.Set {
		// A concatenation of exact keys needs no flag of its own; that one is for ranges.
		return &nftables.Set{Table: t.Table, Name: name, KeyType: nftables.MustConcatSetType(key...)}
	}
	for i, ip := range []nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeIP6Addr} {
		digit := []string{"4", "6"}[i]
		to := func(s *nftables.Set) *nftables.Set {
			s.IsMap = true
			s.DataType = nftables.MustConcatSetType(ip, nftables.TypeInetService)
			return s
		}
		t.fam[i] = family{
			from:    set("from"+digit, nftables.TypeIFName, ip),
			out:     set("out"+digit, ip),
			masq:    set("masq"+digit, ip),
			open:    set("open"+digit, ip),
			masqIn:  set("masq-in"+digit, ip),
			hairpin: set("hairpin"+digit, ip, ip),
			ports:   to(set("ports"+digit, nftables.TypeInetProto, nftables.TypeInetService)),
			portsAt: to(set("ports-at"+digit, ip, nftables.TypeInetProto, nftables.TypeInetService)),
		}
	}
	return t
}

func (f *family) sets() []*nftables.Set {
	return []*nftables.Set{f.from, f.out, f.masq, f.open, f.masqIn, f.hairpin, f.ports, f.portsAt}
}

// add queues the whole table with the given elements.
func (t *table) add(b *batch, entries []Entry) {
	b.addTable()
	for i := range t.fam {
		for _, s := range t.fam[i].sets() {
			b.addSet(s)
		}
	}
	t.addRules(b)
	t.each(entries, b.addElements)
}

// each calls do with what the entries put into each set, in portions.
func (t *table) each(entries []Entry, do func(*nftables.Set, []nftables.SetElement)) {
	bySet := map[*nftables.Set][]nftables.SetElement{}
	for i := range entries {
		for _, a := range entries[i].elements(t) {
			bySet[a.set] = append(bySet[a.set], a.element)
		}
	}
	for i := range t.fam {
		for _, s := range t.fam[i].sets() {
			for el := bySet[s]; len(el) > 0; {
				n := min(len(el), 200) // an attribute holds 64 KiB
				do(s, el[:n])
				el = el[n:]
			}
		}
	}
}
