package supervisor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// serverFiles is what virtiofsd may have open: the one in C holds a descriptor for each inode that the guest knows.
const serverFiles = 1 << 20

// shares starts a virtiofsd for each directory of that kind and connects to it for the VMM.
func (f *Flavor) shares(l *vmhost.Launch, files *inherited, cgroups []string) error {
	for i := range f.m.Shares {
		s := &f.m.Shares[i]
		if s.Kind != agent.Virtiofs {
			l.Shares = append(l.Shares, 0)
			continue
		}
		conn, err := f.serve(i, s, cgroups)
		if err != nil {
			return fmt.Errorf("share %s with the guest: %w", s.Source, err)
		}
		l.Shares = append(l.Shares, files.add(f.keep(conn)))
	}
	return nil
}

// serve starts the server of one share in a cage that holds nothing else: what is read-only is so by the mount
// there, whatever the guest asks for. The result is connected to it.
func (f *Flavor) serve(i int, s *vmhost.Share, cgroups []string) (*os.File, error) {
	// The name lasts as long as this function; connecting needs one, and 108 bytes are enough for this.
	name := filepath.Join(poddir.Stage1Dir, "share"+strconv.Itoa(i))
	defer os.Remove(name)
	addr := &net.UnixAddr{Name: name, Net: "unix"}
	listener, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	listening, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer listening.Close()
	if err := unix.SetNonblock(int(listening.Fd()), false); err != nil { // the flag is shared with the listener, which accepts nothing
		return nil, err
	}
	dir, bind := "/share", cage.Bind{Source: s.Source, Target: "/share", Writable: !s.ReadOnly, Recursive: s.Recursive}
	if s.File != "" {
		bind.Target = filepath.Join("/share", s.File)
	}
	spec := &cage.Spec{
		Args: arguments(f.m.Virtiofsd, 3, dir), Env: []string{"PATH=/usr/bin:/bin"},
		Root: filepath.Join(poddir.Stage1Dir, vmhost.CageDir), Binds: []cage.Bind{bind},
		Cgroups: cgroups, Proc: true, Caps: serverCaps(), Files: openFiles(), OwnNetwork: true,
	}
	out, err := f.console.pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p, err := cage.Start(spec, [3]*os.File{nil, out, out}, []*os.File{listening})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.servers = append(f.servers, p)
	f.mu.Unlock()
	conn, err := net.DialUnix("unix", nil, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	return file, unix.SetNonblock(int(file.Fd()), false)
}

// openFiles is the hard limit of this process, which only CAP_SYS_RESOURCE could raise.
func openFiles() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return min(l.Max, serverFiles)
}

// serverCaps is what acting as the guest's users on files takes, and chroot.
func serverCaps() uint64 {
	var mask uint64
	for _, c := range []int{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID,
		unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_MKNOD, unix.CAP_SETFCAP, unix.CAP_SYS_CHROOT, unix.CAP_SETPCAP,
	} {
		mask |= 1 << c
	}
	return mask
}

// arguments has what either side changes seen by the other at once: no attribute is believed for longer than the
// call that asked for it, and a file's pages only while it is open.
func arguments(d *vmhost.Virtiofsd, fd int, dir string) []string {
	if d.Rust {
		return []string{d.Program, "--fd=" + strconv.Itoa(fd), "--shared-dir=" + dir, "--sandbox=chroot", "--cache=auto",
			"--xattr", "--inode-file-handles=prefer", "--rlimit-nofile=0", "--log-level=error"}
	}
	return []string{d.Program, "--fd=" + strconv.Itoa(fd), "-o", "source=" + dir, "-o", "sandbox=chroot", "-o", "cache=auto",
		"-o", "timeout=0", "-o", "xattr", "-o", "log_level=err", "--rlimit-nofile=0", "-f"}
}
