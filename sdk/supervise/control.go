package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Bounds on a client of the control socket: it is trusted, but may be buggy.
const (
	maxRequest     = 4 << 10
	maxClients     = 8
	clientDeadline = 5 * time.Second
)

// listen makes the control socket in the working directory. The name is relative because sun_path is short.
// Package net is not used: it would be a quarter of a small supervisor's memory.
func (r *Reporter) listen() error {
	if err := os.Remove(poddir.ControlSock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	// The name gets the mode of the socket. A umask is the whole process's, and the Flavor makes files meanwhile.
	err = unix.Fchmod(fd, 0o600)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: poddir.ControlSock})
	}
	if err == nil {
		err = unix.Listen(fd, maxClients)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind %s: %w", poddir.ControlSock, err)
	}
	go r.accept(os.NewFile(uintptr(fd), poddir.ControlSock))
	return nil
}

func (r *Reporter) accept(l *os.File) {
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	slots := make(chan struct{}, maxClients)
	for {
		conn := -1
		var acceptErr error
		err := raw.Read(func(fd uintptr) bool {
			conn, _, acceptErr = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return !errors.Is(acceptErr, unix.EAGAIN)
		})
		if err != nil {
			return
		}
		if acceptErr != nil {
			if errors.Is(acceptErr, unix.ECONNABORTED) || errors.Is(acceptErr, unix.EINTR) {
				continue
			}
			fmt.Fprintf(os.Stderr, "rkt: accept on %s: %v\n", poddir.ControlSock, acceptErr)
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			r.serve(conn)
		}()
	}
}

// serve answers the requests of one client.
func (r *Reporter) serve(fd int) {
	c := os.NewFile(uintptr(fd), "client")
	defer c.Close()
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return
	}
	if err := c.SetDeadline(time.Now().Add(clientDeadline)); err != nil {
		return
	}
	buf := make([]byte, 0, 512)
	for {
		i := bytes.IndexByte(buf, '\n')
		for i < 0 {
			if len(buf) >= maxRequest {
				return
			}
			if len(buf) == cap(buf) {
				buf = append(buf, 0)[:len(buf)]
			}
			n, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return
			}
			i = bytes.IndexByte(buf[len(buf):len(buf)+n], '\n')
			if i >= 0 {
				i += len(buf)
			}
			buf = buf[:len(buf)+n]
		}
		reply, err := json.Marshal(r.answer(buf[:i]))
		if err != nil || c.SetDeadline(time.Now().Add(clientDeadline)) != nil { // answering may have taken a while
			return
		}
		if _, err := c.Write(append(reply, '\n')); err != nil {
			return
		}
		buf = buf[:copy(buf, buf[i+1:])]
	}
}

func (r *Reporter) answer(line []byte) poddir.ControlReply {
	var req poddir.ControlRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return poddir.ControlReply{Error: "parse request: " + err.Error()}
	}
	switch {
	case req.Op == "update":
		return r.update(&req)
	case req.Op != "stop":
		return poddir.ControlReply{Error: fmt.Sprintf("operation %q is unknown to this supervisor", req.Op)}
	case req.App != "":
		return poddir.ControlReply{Error: "this supervisor stops whole pods, not single apps"}
	case req.GraceSeconds < 0:
		return poddir.ControlReply{Error: "graceSeconds is negative"}
	}
	r.send(event{kind: stopAsked, force: req.Force, grace: req.GraceSeconds})
	return poddir.ControlReply{OK: true}
}

// update is answered when it is done. A Flavor whose apps' cgroups anybody can reach has no part in it.
func (r *Reporter) update(req *poddir.ControlRequest) poddir.ControlReply {
	u, ok := r.flavor.(Updater)
	if !ok || req.Resources == nil {
		return poddir.ControlReply{Error: "this supervisor changes no limits", Kind: poddir.ControlRefused}
	}
	err := u.Update(req.App, *req.Resources)
	if err == nil {
		return poddir.ControlReply{OK: true}
	}
	reply := poddir.ControlReply{Error: err.Error()}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		reply.Kind = refusal.Kind
	}
	return reply
}
