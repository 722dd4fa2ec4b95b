package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// family splits the processes of one cgroup: ours (this process and what descends from it, such as plugins
// that are starting) and whether there are others.
func family(dir string) (ours []int, foreign bool, err error) {
	pids, err := readProcs(dir)
	if err != nil {
		return nil, false, err
	}
	for _, pid := range pids {
		switch {
		case descends(pid, os.Getpid()):
			ours = append(ours, pid)
		case pid == 0 || alive(pid): // 0: a process of an outer pid namespace
			foreign = true
		}
	}
	return ours, foreign, nil
}

// descends walks up from pid. A hundred generations are more than there are.
func descends(pid, from int) bool {
	for range 100 {
		if pid == from {
			return true
		}
		if pid <= 1 {
			return false
		}
		ppid, err := parent(pid)
		if err != nil {
			return false
		}
		pid = ppid
	}
	return false
}

// parent reads the fourth field of /proc/PID/stat. The second, the command's name, may hold anything.
func parent(pid int) (int, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, tail, ok := strings.Cut(string(b[max(bytes.LastIndexByte(b, ')'), 0):]), ") ")
	fields := strings.Fields(tail)
	if !ok || len(fields) < 2 {
		return 0, fmt.Errorf("read parent of process %d: unexpected stat", pid)
	}
	return strconv.Atoi(fields[1])
}

func alive(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}
