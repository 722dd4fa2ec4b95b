package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Kind says what a message is about.
type Kind string

// The kinds.
const (
	Terminal Kind = "terminal"
	Warning  Kind = "warning"
	Started  Kind = "started"
	Exited   Kind = "exited"
	Up       Kind = "up"
	Failed   Kind = "failed"
)

// Message is one packet. FD is -1 without a descriptor; a receiver owns what it gets.
type Message struct {
	Kind   Kind   `json:"kind"`
	App    string `json:"app,omitempty"`
	Text   string `json:"text,omitempty"`   // warning, failed; of exited: why the app could not be executed
	Code   int    `json:"code,omitempty"`   // of exited
	Signal int    `json:"signal,omitempty"` // of exited
	FD     int    `json:"-"`
}

// maxPacket bounds a message. Only texts can be long, and are cut; JSON makes at most six bytes of one.
const (
	maxText   = 2 << 10
	maxPacket = 6*maxText + 1<<10
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
	if len(m.Text) > maxText {
		m.Text = m.Text[:maxText]
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
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
	buf := make([]byte, maxPacket)
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
	switch {
	case n == 0:
		return m, io.EOF
	case flags&unix.MSG_TRUNC != 0:
		err = errors.New("message is too long")
	default:
		err = json.Unmarshal(buf[:n], &m)
	}
	if err != nil && m.FD >= 0 {
		unix.Close(m.FD)
		m.FD = -1
	}
	return m, err
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
