package supervise

import (
	"golang.org/x/sys/unix"
)

// Notify sends one sd_notify(3) datagram to the service manager that started `rkt run`, if there is one.
// Nobody can do anything about a manager that does not listen, so errors end here.
func (p *Pod) Notify(state string) {
	if p.notify == "" {
		return
	}
	name := p.notify
	if name[0] != '/' && name[0] != '@' {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// A leading @ is the abstract namespace; x/sys makes the zero byte of it.
	_ = unix.Sendto(fd, []byte(state), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name})
}
