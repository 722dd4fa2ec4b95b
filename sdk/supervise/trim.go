package supervise

import (
	"os"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trimDelay keeps the cost of giving memory back out of the life of a pod that ends at once.
const trimDelay = time.Second

// TrimLater gives back, a second from now, what the start of this process needed and its wait does not: free
// heap, and the pages of its own program, which it has touched all over the place and will hardly touch
// again. The kernel reads those back from the page cache when they are wanted. It is for a process that has
// a long wait before it; Run calls it for the supervisor.
func TrimLater() {
	time.AfterFunc(trimDelay, func() {
		debug.FreeOSMemory()
		for _, r := range programPages() {
			_ = unix.Madvise(r, unix.MADV_DONTNEED) // advice: the memory is as good without
		}
	})
}

// Entries of the auxiliary vector, and of ELF program headers (elf.h).
const (
	atPhdr  = 3
	atPhent = 4
	atPhnum = 5

	ptLoad  = 1
	ptPhdr  = 6
	pfWrite = 2
)

// phdr is Elf64_Phdr.
type phdr struct {
	kind, flags                                uint32
	offset, vaddr, paddr, filesz, memsz, align uint64
}

// programPages returns the parts of this program in memory that are never written to: code and constants. It
// asks the program's own headers, as PID 1 of a pod has no /proc.
func programPages() [][]byte {
	aux, err := unix.Auxv()
	if err != nil {
		return nil
	}
	var at, size, count uintptr
	for _, a := range aux {
		switch a[0] {
		case atPhdr:
			at = a[1]
		case atPhent:
			size = a[1]
		case atPhnum:
			count = a[1]
		}
	}
	if at == 0 || size < unsafe.Sizeof(phdr{}) {
		return nil
	}
	header := func(i uintptr) *phdr { return (*phdr)(pointer(at + i*size)) }
	var base uintptr // of a position-independent program
	for i := range count {
		if h := header(i); h.kind == ptPhdr {
			base = at - uintptr(h.vaddr)
		}
	}
	page := uintptr(os.Getpagesize())
	var out [][]byte
	for i := range count {
		h := header(i)
		if h.kind != ptLoad || h.flags&pfWrite != 0 {
			continue
		}
		start := (base + uintptr(h.vaddr)) &^ (page - 1)
		end := (base + uintptr(h.vaddr+h.filesz) + page - 1) &^ (page - 1)
		out = append(out, unsafe.Slice((*byte)(pointer(start)), end-start))
	}
	return out
}

// pointer makes a pointer of an address that the kernel named; nothing of the Go heap is there.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
