package supervise

import (
	"bytes"
	"fmt"
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
//
// The addresses are looked up at once: PID 1 of a pod has no /proc later on.
func TrimLater() {
	ranges := programPages()
	time.AfterFunc(trimDelay, func() {
		debug.FreeOSMemory()
		for _, r := range ranges {
			_ = unix.Madvise(r, unix.MADV_DONTNEED) // advice: the memory is as good without
		}
	})
}

// programPages returns the mappings of this program's file that are never written to: code and constants.
func programPages() [][]byte {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var self unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &self); err != nil {
		return nil
	}
	var out [][]byte
	for line := range bytes.Lines(maps) {
		var start, end uintptr
		var perms, dev string
		var offset, inode uint64
		n, err := fmt.Sscanf(string(line), "%x-%x %s %x %s %d", &start, &end, &perms, &offset, &dev, &inode)
		if n != 6 || err != nil || inode != self.Ino || len(perms) < 4 || perms[1] == 'w' || perms[3] != 'p' {
			continue
		}
		out = append(out, unsafe.Slice((*byte)(pointer(start)), end-start))
	}
	return out
}

// pointer makes a pointer of an address that the kernel named; nothing of the Go heap is there.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
