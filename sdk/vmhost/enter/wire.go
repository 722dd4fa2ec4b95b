package enter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// Request is the first line.
type Request struct {
	App     string     `json:"app"`
	Command []string   `json:"command,omitempty"`
	TTY     bool       `json:"tty,omitempty"`
	Term    string     `json:"term,omitempty"`
	Size    agent.Size `json:"size,omitzero"`
}

// Event is a later line: a signal or a size.
type Event struct {
	Signal int        `json:"signal,omitempty"`
	Size   agent.Size `json:"size,omitzero"`
}

// Reply is the supervisor's only line. Error says why there was no command; Reason why it was not executed.
type Reply struct {
	Code   int    `json:"code"`
	Signal int    `json:"signal,omitempty"`
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
}

const (
	maxRequest  = 1 << 20
	requestTime = 10 * time.Second
	streams     = 3
)

// Send sends the request with the far ends of the streams.
func Send(c *net.UnixConn, r *Request, files [streams]*os.File) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(b) >= maxRequest {
		return fmt.Errorf("command of %d bytes is too long", len(b))
	}
	rights := unix.UnixRights(int(files[0].Fd()), int(files[1].Fd()), int(files[2].Fd()))
	b = append(b, '\n')
	n, _, err := c.WriteMsgUnix(b, rights, nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

// Receive reads it. Peers other than root are not listened to; the descriptors are the caller's, also with an
// error.
func Receive(c *net.UnixConn) (*Request, []*os.File, error) {
	if err := c.SetReadDeadline(time.Now().Add(requestTime)); err != nil {
		return nil, nil, err
	}
	if err := checkPeer(c); err != nil {
		return nil, nil, err
	}
	var files []*os.File
	var line []byte
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*streams))
	for !bytes.HasSuffix(line, []byte("\n")) {
		n, on, _, _, err := c.ReadMsgUnix(buf, oob)
		if err == nil && on > 0 {
			var more []*os.File
			more, err = received(oob[:on])
			files = append(files, more...)
		}
		if line = append(line, buf[:n]...); err == nil && (n == 0 || len(line) > maxRequest) {
			err = errors.New("request is cut short, or too long")
		}
		if err != nil {
			return nil, files, err
		}
	}
	r := new(Request)
	if err := json.Unmarshal(line, r); err != nil {
		return nil, files, fmt.Errorf("read request: %w", err)
	}
	if len(files) != streams {
		return nil, files, fmt.Errorf("read request: it comes with %d descriptors, not %d", len(files), streams)
	}
	return r, files, c.SetReadDeadline(time.Time{})
}

func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not enter the pod", cred.Uid)
	}
	return nil
}

func received(oob []byte) ([]*os.File, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var out []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			_ = unix.SetNonblock(fd, true) // pipes of the client's making, for this purpose
			out = append(out, os.NewFile(uintptr(fd), "enter"))
		}
	}
	return out, nil
}
