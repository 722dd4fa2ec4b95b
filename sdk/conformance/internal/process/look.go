package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PeakRSS is the most memory that was resident so far, in bytes. The process must be alive.
func (p *Process) PeakRSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", p.Pid)
}

// Session returns the pids that are left of the plugin's session, itself not counted.
func (p *Process) Session() []int { return session(p.Pid) }

func session(sid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(b, ')') // the name in front of it may hold anything
		if i < 0 {
			continue
		}
		// state ppid pgrp session
		f := strings.Fields(string(b[i+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if len(f) > 3 && f[3] == strconv.Itoa(sid) && pid != sid && f[0] != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killSession ends what a plugin left behind. The session's number cannot be another's while one of it lives.
func killSession(sid int) {
	for _, pid := range session(sid) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		for _, again := range session(sid) { // the pid was not used anew meanwhile
			if again == pid {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			}
		}
		unix.Close(fd)
	}
}
