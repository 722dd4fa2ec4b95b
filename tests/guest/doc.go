// Guest runs a command in a virtual machine that has what this machine may lack: systemd as PID 1, journald,
// D-Bus and a pure cgroup v2 hierarchy. It is Debian's own user space and kernel under QEMU, emulated, so that
// no /dev/kvm is needed: some ten seconds to the command's first line, and 15 to 100 times slower than the
// host. Build on the host, run in the guest.
//
//	prepare   rootfs.go      mmdebstrap from the mirror that this machine's apt uses -> a directory
//	          kernel.go      Debian's kernel package -> vmlinux, modules into the directory
//	          image.go       the directory -> an ext4 image; cached in .cache/guest by what it is made of
//	          initramfs.go   busybox, the modules for disk and shares, files/init
//	run       tests.go       `go test -c` of the packages that the command's script names
//	          boot.go        QEMU, with the disk as a snapshot and two shares by 9p
//
//	/guest/src   the repository, read-only; the command's working directory
//	/guest/out   this run's: command, tests/, started, output, rc
//
// The status of the runner is the command's. A guest that does not come as far as the command within the
// limit is started once more; a guest that ends without a status is a failure (125).
package main
