package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection to the kernel's nf_tables, for one goroutine at a time. One serves all calls of a process, and Close
// comes last: after a transaction that removes anything, closing the socket waits for an RCU grace period (5 to 15 ms).
type Conn struct{ fd int }

// Open connects.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	// Reports of errors without a copy of what was sent. Since Linux 4.3; without it they are longer.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &Conn{fd}, nil
}

// Close disconnects.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// exists says whether the table is there, as this version makes it.
func (c *Conn) exists(t *table) (bool, error) {
	return c.ask(unix.NFT_MSG_GETSET, text(unix.NFTA_SET_TABLE, Name), text(unix.NFTA_SET_NAME, t.fam[0].from.Name))
}

// anyTable says whether a table of the name is there, whoever made it.
func (c *Conn) anyTable() (bool, error) {
	return c.ask(unix.NFT_MSG_GETTABLE, text(unix.NFTA_TABLE_NAME, Name))
}

// ask makes a plain query, because a transaction that fails waits for an RCU grace period.
func (c *Conn) ask(typ uint16, attrs ...[]byte) (bool, error) {
	var b batch
	b.message(nftType(typ), unix.NLM_F_ACK, unix.NFPROTO_INET, 0, attrs...)
	err := c.exchange(b.buf, b.seq)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the nftables table of rkt: %w", err)
	}
	return true, nil
}

// commit sends one transaction. The kernel asks for another try when it had to load a module or when somebody else's
// transaction came between.
func (c *Conn) commit(fill func(*batch)) error {
	var b batch
	fill(&b)
	if b.err != nil || b.seq == 0 {
		return b.err
	}
	buf, seq := b.finish()
	for try := 0; ; try++ {
		err := c.exchange(buf, seq)
		again := errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ERESTART) ||
			errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOBUFS)
		if !again || try == 20 {
			return err
		}
		time.Sleep(time.Duration(try+1) * time.Millisecond)
	}
}

// exchange sends messages and reads the answers up to the acknowledgement of seq; the first error wins. The kernel
// has worked and answered when send returns, so a read that would wait has lost an answer.
func (c *Conn) exchange(buf []byte, seq uint32) error {
	// A socket refuses messages larger than its buffer, which by default is enough for some 300 pods.
	if size := 2 * len(buf); size > 128<<10 {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size); err != nil {
			return fmt.Errorf("enlarge socket: %w", err)
		}
	}
	if err := retry(func() error {
		return unix.Sendto(c.fd, buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	var first error
	answer := make([]byte, 64<<10)
	for {
		var n int
		err := retry(func() (err error) { n, _, err = unix.Recvfrom(c.fd, answer, unix.MSG_DONTWAIT); return err })
		if errors.Is(err, unix.EAGAIN) {
			if first == nil {
				first = errors.New("the kernel gave no answer")
			}
			return first
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		done, err := acknowledged(answer[:n], seq)
		if first == nil {
			first = err
		}
		if done {
			c.drain(answer)
			return first
		}
	}
}

// drain reads what came after the acknowledgement.
func (c *Conn) drain(b []byte) {
	for {
		err := retry(func() error { _, _, err := unix.Recvfrom(c.fd, b, unix.MSG_DONTWAIT); return err })
		if err != nil {
			return
		}
	}
}

// acknowledged looks for the acknowledgement of seq among answers, and for errors.
func acknowledged(b []byte, seq uint32) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return done, errors.New("the kernel's answer is cut off")
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR && n >= unix.SizeofNlMsghdr+4 {
			if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code < 0 && err == nil {
				err = unix.Errno(-code)
			}
			done = done || binary.NativeEndian.Uint32(b[8:]) == seq
		}
		b = b[min((n+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
	return done, err
}

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
