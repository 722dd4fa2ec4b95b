package wire

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Kind says what a message is about.
type Kind uint8

// The kinds.
const (
	Terminal Kind = iota + 1
	Warning
	Started
	Exited
	Up
	Failed
)

// Message is one packet. FD is -1 without a descriptor; a receiver owns what it gets.
type Message struct {
	Kind   Kind
	App    string
	Text   string // warning, failed; of exited: why the app could not be executed
	Code   uint8  // of exited
	Signal uint8  // of exited
	FD     int
}

// A packet is kind, code, signal, the length of the app's name, the name, the text. Both ends are the same
// program; JSON would cost each of them the first use of it, in the middle of a start.
const (
	header  = 4
	maxName = 255
	maxText = 2 << 10
)

// Pair makes the two ends, both close-on-exec and blocking.
func Pair() (supervisor, pid1 int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("make socket pair: %w", err)
	}
	return fds[0], fds[1], nil
}

// Send sends one message on a blocking socket.
func Send(sock int, m Message) error {
	if len(m.App) > maxName {
		return fmt.Errorf("name of %d bytes", len(m.App))
	}
	m.Text = m.Text[:min(len(m.Text), maxText)]
	b := make([]byte, 0, header+len(m.App)+len(m.Text))
	b = append(b, byte(m.Kind), m.Code, m.Signal, byte(len(m.App)))
	b = append(append(b, m.App...), m.Text...)
	var rights []byte
	if m.FD >= 0 {
		rights = unix.UnixRights(m.FD)
	}
	for {
		err := unix.Sendmsg(sock, b, rights, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Receive waits for one message; the peer's end is io.EOF.
func Receive(sock int) (Message, error) {
	buf := make([]byte, header+maxName+maxText)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return Message{FD: -1}, err
	}
	m := Message{FD: -1}
	if oobn > 0 {
		if m.FD, err = right(oob[:oobn]); err != nil {
			return m, err
		}
	}
	if n == 0 {
		return m, io.EOF
	}
	if b := buf[:n]; flags&unix.MSG_TRUNC != 0 || n < header || n < header+int(b[3]) {
		if m.FD >= 0 {
			unix.Close(m.FD)
		}
		return Message{FD: -1}, errors.New("message is malformed")
	}
	m.Kind, m.Code, m.Signal = Kind(buf[0]), buf[1], buf[2]
	m.App, m.Text = string(buf[header:header+int(buf[3])]), string(buf[header+int(buf[3]):n])
	return m, nil
}

func right(oob []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1, err
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err == nil && len(fds) == 1 {
			return fds[0], nil
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return -1, nil
}
