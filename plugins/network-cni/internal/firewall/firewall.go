package firewall

import (
	"errors"
	"fmt"
	"maps"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ErrUnfit says that the kernel's table cannot take an entry: it is not there (the first pod's case, or somebody's
// `nft flush ruleset`), or holds another pod's value for a port of this one. The cure is Replace.
var ErrUnfit = errors.New("the nftables table of rkt is missing or out of date")

// Add puts the entries in.
func (c *Conn) Add(entries []Entry) error {
	t := describe()
	if ok, err := c.exists(t); err != nil {
		return err
	} else if !ok {
		return ErrUnfit
	}
	err := c.commit(func(b *batch) { t.each(entries, b.addElements) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) {
		return ErrUnfit
	}
	if err != nil {
		return fmt.Errorf("add nftables elements: %w", err)
	}
	return nil
}

// Remove takes the entries out. What is not there is fine.
func (c *Conn) Remove(entries []Entry) error {
	t := describe()
	if ok, err := c.exists(t); !ok {
		return err
	}
	err := c.commit(func(b *batch) { t.each(entries, b.delElements) })
	if errors.Is(err, unix.ENOENT) {
		// One missing element voids the batch, so go one by one. (NFT_MSG_DESTROYSETELEM would do, since Linux 6.3.)
		err = nil
		t.each(entries, func(s *nftables.Set, el []nftables.SetElement) {
			for i := range el {
				one := c.commit(func(b *batch) { b.delElements(s, el[i:i+1]) })
				if !errors.Is(one, unix.ENOENT) {
					err = errors.Join(err, one)
				}
			}
		})
	}
	if err != nil {
		return fmt.Errorf("remove nftables elements: %w", err)
	}
	return nil
}

// Replace makes the table anew with exactly these entries, in one transaction. The caller keeps others from
// doing the same.
func (c *Conn) Replace(entries []Entry) error {
	old, err := c.anyTable()
	if err != nil {
		return err
	}
	err = c.commit(func(b *batch) {
		if old {
			b.delTable()
		}
		describe().add(b, entries)
	})
	if err != nil {
		return fmt.Errorf("write the nftables table of rkt: %w", err)
	}
	return nil
}

// Drop removes the table. The caller keeps others from adding to it.
func (c *Conn) Drop() error {
	if ok, err := c.anyTable(); !ok {
		return err
	}
	err := c.commit(func(b *batch) { b.delTable() })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove the nftables table of rkt: %w", err)
	}
	return nil
}

// Compare says how the table differs: missing, the kernel lacks an element of the entries; extra, it has one more.
func (c *Conn) Compare(entries []Entry) (missing, extra bool, err error) {
	t := describe()
	if ok, err := c.exists(t); !ok {
		return len(entries) > 0, false, err
	}
	lib, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return false, false, fmt.Errorf("read the nftables table of rkt: %w", err)
	}
	defer lib.CloseLasting()
	want := map[*nftables.Set]map[string]bool{}
	for i := range entries {
		for _, a := range entries[i].elements(t) {
			if want[a.set] == nil {
				want[a.set] = map[string]bool{}
			}
			want[a.set][string(a.element.Key)+string(a.element.Val)] = true
		}
	}
	for i := range t.fam {
		for _, s := range t.fam[i].sets() {
			left := maps.Clone(want[s])
			have, err := lib.GetSetElements(s)
			if err != nil {
				return false, false, fmt.Errorf("read the nftables table of rkt: %w", err)
			}
			for _, el := range have {
				key := string(el.Key) + string(el.Val)
				if !want[s][key] {
					extra = true
				}
				delete(left, key)
			}
			missing = missing || len(left) > 0
		}
	}
	return missing, extra, nil
}
