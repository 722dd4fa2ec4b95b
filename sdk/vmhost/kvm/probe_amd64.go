package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/kvm.h.
const (
	kvmGetAPIVersion       = 0xae00
	kvmCreateVM            = 0xae01
	kvmGetVCPUMmapSize     = 0xae04
	kvmCreateVCPU          = 0xae41
	kvmSetUserMemoryRegion = 0x4020ae46
	kvmSetTSSAddr          = 0xae47
	kvmRun                 = 0xae80
	kvmSetRegs             = 0x4090ae82
	kvmGetSregs            = 0x8138ae83
	kvmSetSregs            = 0x4138ae84

	apiVersion = 12
	exitHlt    = 5
)

// Offsets in struct kvm_run.
const (
	runImmediateExit = 1
	runExitReason    = 8
)

// segment, dtable, sregs and regs are the kernel's structures.
type segment struct {
	base                            uint64
	limit                           uint32
	selector                        uint16
	kind, present, dpl, db, s, l, g uint8
	avl, unusable, padding          uint8
}

type dtable struct {
	base    uint64
	limit   uint16
	padding [3]uint16
}

type sregs struct {
	cs, ds, es, fs, gs, ss, tr, ldt segment
	gdt, idt                        dtable
	cr0, cr2, cr3, cr4, cr8         uint64
	efer, apicBase                  uint64
	interrupts                      [4]uint64
}

type regs struct {
	rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp        uint64
	r8, r9, r10, r11, r12, r13, r14, r15, rip, rf uint64
}

// region is struct kvm_userspace_memory_region.
type region struct {
	slot, flags       uint32
	guest, size, user uint64
}

const (
	memory = 0x8000
	// code lies behind the page tables: PML4 at 0x1000, PDPT at 0x2000, PD at 0x3000, one page of 2 MiB.
	codeAt = 0x4000
	// loops of two instructions. Hardware takes 2 ms, an emulator that emulates hardware 50, an interpreter
	// of 1.4 million instructions a second nearly three seconds.
	loops = 2_000_000
	limit = time.Second
)

func probe(device string) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return openError(device, &os.PathError{Op: "open", Path: device, Err: err})
	}
	defer unix.Close(fd)
	if v, err := ioctl(fd, kvmGetAPIVersion, 0); err != nil || v != apiVersion {
		return &Unusable{Reason: fmt.Sprintf("%s speaks version %d of KVM, not %d", device, v, apiVersion), Err: err, Remedy: "boot a newer kernel"}
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // virtual processors belong to a thread; it ends with this goroutine
		done <- run(fd)
	}()
	err = <-done
	if err == nil {
		return nil
	}
	var u *Unusable
	if errors.As(err, &u) {
		return u
	}
	return &Unusable{Reason: device + " makes no virtual machine", Err: err, Remedy: "see dmesg for what kvm says"}
}

func ioctl(fd int, req, arg uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, arg)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

func ioctlPtr(fd int, req uintptr, p unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(p))
	if errno != 0 {
		return errno
	}
	return nil
}

// run makes a machine of one processor, sets it into 64-bit mode in ring 0 and lets it count.
func run(kvm int) error {
	vm, err := ioctl(kvm, kvmCreateVM, 0)
	if err != nil {
		return fmt.Errorf("create machine: %w", err)
	}
	defer unix.Close(vm)
	_, _ = ioctl(vm, kvmSetTSSAddr, 0xfffbd000) // old Intel processors want it
	mem, err := unix.Mmap(-1, 0, memory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(mem) }()
	program(mem)
	reg := region{size: memory, user: uint64(uintptr(unsafe.Pointer(&mem[0])))}
	if err := ioctlPtr(vm, kvmSetUserMemoryRegion, unsafe.Pointer(&reg)); err != nil {
		return fmt.Errorf("give memory: %w", err)
	}
	cpu, err := ioctl(vm, kvmCreateVCPU, 0)
	if err != nil {
		return fmt.Errorf("create processor: %w", err)
	}
	defer unix.Close(cpu)
	size, err := ioctl(kvm, kvmGetVCPUMmapSize, 0)
	if err != nil {
		return err
	}
	state, err := unix.Mmap(cpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(state) }()
	if err := longMode(cpu); err != nil {
		return err
	}
	return count(cpu, state)
}

// program writes page tables that map the first 2 MiB onto themselves, and the loop.
func program(mem []byte) {
	binary.LittleEndian.PutUint64(mem[0x1000:], 0x2000|3)
	binary.LittleEndian.PutUint64(mem[0x2000:], 0x3000|3)
	binary.LittleEndian.PutUint64(mem[0x3000:], 0x83)              // present, writable, large
	code := []byte{0xb9, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4} // mov ecx, N; dec ecx; jnz -4; hlt
	binary.LittleEndian.PutUint32(code[1:], loops)
	copy(mem[codeAt:], code)
}

func longMode(cpu int) error {
	var s sregs
	if err := ioctlPtr(cpu, kvmGetSregs, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	s.cr3, s.cr4 = 0x1000, 1<<5 // PAE
	s.cr0 = 1<<31 | 1<<0 | 1<<4 // PG, PE, ET
	s.efer = 1<<8 | 1<<10       // LME, LMA
	s.cs = segment{limit: 0xffffffff, selector: 8, kind: 11, present: 1, s: 1, l: 1, g: 1}
	data := segment{limit: 0xffffffff, selector: 16, kind: 3, present: 1, db: 1, s: 1, g: 1}
	s.ds, s.es, s.fs, s.gs, s.ss = data, data, data, data, data
	if err := ioctlPtr(cpu, kvmSetSregs, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("set registers: %w", err)
	}
	if err := ioctlPtr(cpu, kvmSetRegs, unsafe.Pointer(&regs{rip: codeAt, rsp: memory, rf: 2})); err != nil {
		return fmt.Errorf("set registers: %w", err)
	}
	return nil
}

// count runs the loop. A processor that does not come back in time is called back: immediate_exit makes KVM_RUN
// return at the next signal.
func count(cpu int, state []byte) error {
	tid := unix.Gettid()
	var late atomic.Bool
	timer := time.AfterFunc(limit, func() {
		late.Store(true)
		state[runImmediateExit] = 1
		_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // the Go runtime takes it for one of its own
	})
	defer timer.Stop()
	for {
		_, err := ioctl(cpu, kvmRun, 0)
		switch {
		case late.Load():
			return &Unusable{
				Reason: "KVM is there, but does not run a guest's kernel at the processor's speed: it interprets it (this host is itself a virtual machine without nested virtualization)",
				Remedy: "give this host nested virtualization",
			}
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return fmt.Errorf("run processor: %w", err)
		}
		if reason := binary.LittleEndian.Uint32(state[runExitReason:]); reason != exitHlt {
			return &Unusable{Reason: fmt.Sprintf("KVM cannot run a loop in 64-bit mode (exit reason %d)", reason), Remedy: "see dmesg for what kvm says"}
		}
		return nil
	}
}
