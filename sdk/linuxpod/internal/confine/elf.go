package confine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Machines of ELF (e_machine) that a message can name.
const (
	machine386   = 3
	machineARM   = 40
	machineAMD64 = 62
	machineARM64 = 183
	machineRISCV = 243
)

func machineName(m uint16) string {
	switch m {
	case machine386:
		return "386"
	case machineARM:
		return "arm"
	case machineAMD64:
		return "amd64"
	case machineARM64:
		return "arm64"
	case machineRISCV:
		return "riscv64"
	}
	return fmt.Sprintf("ELF machine %d", m)
}

// elfHead is what a message needs to know of a program.
type elfHead struct {
	machine uint16
	loader  string // PT_INTERP; empty for a static program
}

// parseELF reads the header and the loader's name from the beginning of an ELF file. The bytes are the
// image's. debug/elf does more, reads the whole file, and would double this program's size.
func parseELF(b []byte) (elfHead, error) {
	short := errors.New("too short")
	if len(b) < 52 || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		return elfHead{}, short
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[5] == 2 {
		order = binary.BigEndian
	}
	h := elfHead{machine: order.Uint16(b[18:])}
	var off, size, count uint64 // of the program headers
	wide := b[4] == 2
	if wide {
		if len(b) < 64 {
			return h, short
		}
		off, size, count = order.Uint64(b[32:]), uint64(order.Uint16(b[54:])), uint64(order.Uint16(b[56:]))
	} else {
		off, size, count = uint64(order.Uint32(b[28:])), uint64(order.Uint16(b[42:])), uint64(order.Uint16(b[44:]))
	}
	least := uint64(32)
	if wide {
		least = 56
	}
	if count > 0 && size < least {
		return h, fmt.Errorf("program headers of %d bytes", size)
	}
	for i := range count {
		at := off + i*size
		if at < off || at > uint64(len(b)) || uint64(len(b))-at < least {
			return h, nil // beyond what was read
		}
		p := b[at:]
		if order.Uint32(p) != 3 { // PT_INTERP
			continue
		}
		var start, n uint64
		if wide {
			start, n = order.Uint64(p[8:]), order.Uint64(p[32:])
		} else {
			start, n = uint64(order.Uint32(p[4:])), uint64(order.Uint32(p[16:]))
		}
		if start > uint64(len(b)) || n > uint64(len(b))-start || n > 4096 {
			return h, nil
		}
		name, _, _ := bytes.Cut(b[start:start+n], []byte{0})
		h.loader = string(name)
		return h, nil
	}
	return h, nil
}
