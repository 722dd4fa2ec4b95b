package firewall

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ErrUnfit says that the kernel's table cannot take an entry: it is not there (the first pod's case, or somebody's
// `nft flush ruleset`), or holds another pod's value for a port of this one. The cure is Replace.
var ErrUnfit = errors.New("the nftables table of rkt is missing or out of date")

// Conn is a connection to the kernel's nf_tables. One serves all calls of a process, and Close comes last: after
// a transaction that removes anything, closing the socket waits for an RCU grace period (5 to 15 ms).
type Conn struct{ nft *nftables.Conn }

// Open connects.
func Open() (*Conn, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	return &Conn{c}, nil
}

// Close disconnects.
func (c *Conn) Close() error { return c.nft.CloseLasting() }

// Add puts the entries in.
func (c *Conn) Add(entries []Entry) error {
	t := describe()
	if ok, err := c.exists(t); err != nil {
		return err
	} else if !ok {
		return ErrUnfit
	}
	err := c.commit(func(c *nftables.Conn) error { return t.each(entries, c.SetAddElements) })
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
	remove := func(do func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error) error {
		return c.commit(func(c *nftables.Conn) error {
			return describe().each(entries, func(s *nftables.Set, el []nftables.SetElement) error { return do(c, s, el) })
		})
	}
	err := remove((*nftables.Conn).SetDeleteElements)
	if errors.Is(err, unix.ENOENT) {
		// One missing element voids the batch, so go one by one. (NFT_MSG_DESTROYSETELEM would do, since Linux 6.3.)
		err = nil
		each := describe().each(entries, func(s *nftables.Set, el []nftables.SetElement) error {
			for i := range el {
				one := c.commit(func(c *nftables.Conn) error { return c.SetDeleteElements(s, el[i:i+1]) })
				if !errors.Is(one, unix.ENOENT) {
					err = errors.Join(err, one)
				}
			}
			return nil
		})
		err = errors.Join(err, each)
	}
	if err != nil {
		return fmt.Errorf("remove nftables elements: %w", err)
	}
	return nil
}

// Replace makes the table anew with exactly these entries, in one transaction. The caller keeps others from
// doing the same.
func (c *Conn) Replace(entries []Entry) error {
	err := c.commit(func(c *nftables.Conn) error {
		t := describe()
		c.AddTable(t.Table) // so that there is one to delete
		c.DelTable(t.Table)
		return t.add(c, entries)
	})
	if err != nil {
		return fmt.Errorf("write the nftables table of rkt: %w", err)
	}
	return nil
}

// Drop removes the table. The caller keeps others from adding to it.
func (c *Conn) Drop() error {
	t := describe()
	if ok, err := c.exists(t); !ok {
		return err
	}
	err := c.commit(func(c *nftables.Conn) error { c.DelTable(t.Table); return nil })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove the nftables table of rkt: %w", err)
	}
	return nil
}

// exists asks with a plain query, because a transaction that fails waits for an RCU grace period.
func (c *Conn) exists(t *table) (bool, error) {
	_, err := c.nft.GetSetByName(t.Table, t.fam[0].from.Name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the nftables table of rkt: %w", err)
	}
	return true, nil
}

// Compare says how the table differs: missing, the kernel lacks an element of the entries; extra, it has one more.
func (c *Conn) Compare(entries []Entry) (missing, extra bool, err error) {
	t := describe()
	if ok, err := c.exists(t); !ok {
		return len(entries) > 0, false, err
	}
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
			have, err := c.nft.GetSetElements(s)
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

// commit sends one batch. The kernel asks for another try when it had to load a module or when somebody else's
// transaction came between.
func (c *Conn) commit(fill func(*nftables.Conn) error) error {
	for try := 0; ; try++ {
		if err := fill(c.nft); err != nil {
			return err
		}
		err := c.nft.Flush()
		again := errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ERESTART) ||
			errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOBUFS)
		if !again || try == 20 {
			return err
		}
		time.Sleep(time.Duration(try+1) * time.Millisecond)
	}
}
