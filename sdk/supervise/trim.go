package supervise

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
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
	inode := strconv.FormatUint(self.Ino, 10)
	var out [][]byte
	for line := range strings.Lines(string(maps)) {
		// start-end perms offset device inode name
		f := strings.Fields(line)
		if len(f) < 6 || len(f[1]) < 4 || f[1][1] == 'w' || f[1][3] != 'p' || f[4] != inode {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		out = append(out, unsafe.Slice((*byte)(pointer(uintptr(start))), end-start))
	}
	return out
}

// pointer makes a pointer of an address that the kernel named; nothing of the Go heap is there.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
