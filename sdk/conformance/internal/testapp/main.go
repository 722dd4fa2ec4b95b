package testapp

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Name is the program's file name, by which the command of the kit knows that it is meant.
const Name = "rkt-conformance-app"

// Mark begins each line that is for the kit; supervisors may print on the same stream.
const Mark = "rkt-conformance: "

// Main runs the words of args in order and returns the exit status. A word's operands follow it.
//
//	report TAG     prints a Report
//	say TEXT       prints TEXT
//	exit N         ends
//	signal N       sends itself signal N
//	sleep          waits for SIGTERM, then ends with 0
//	stubborn       ignores SIGTERM and sleeps
//	until N        waits for signal N, prints it, then ends with 0
//	cat            copies standard input to standard output
//	pause MS       waits
//	read FILE      prints its first line, exit status 3 when it cannot
//	write FILE     writes FILE, exit status 3 when it cannot
//	remove FILE    removes FILE, exit status 3 when it cannot
//	spawn          leaves a child in a session of its own that sleeps
//	eat MIB        takes memory and touches it
//	dial ADDR      connects by TCP and prints what the other side says, exit status 4 when it cannot
//	finish FILE    writes a Report to FILE, as what a supervisor becomes
func Main(args []string) int {
	for len(args) > 0 {
		word, operand := args[0], ""
		args = args[1:]
		if wantsOperand(word) {
			if len(args) == 0 {
				return fail("%s wants an operand", word)
			}
			operand, args = args[0], args[1:]
		}
		if code, done := do(word, operand); done {
			return code
		}
	}
	return 0
}

func wantsOperand(word string) bool {
	switch word {
	case "sleep", "stubborn", "cat", "spawn":
		return false
	}
	return true
}

func say(format string, args ...any) { fmt.Printf(Mark+format+"\n", args...) }

func fail(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, Name+": "+format+"\n", args...)
	return 99
}

// do runs one word. done says that the program ends.
func do(word, operand string) (code int, done bool) {
	n, _ := strconv.Atoi(operand)
	switch word {
	case "report":
		b, err := json.Marshal(Look(operand))
		if err != nil {
			return fail("%v", err), true
		}
		say("%s", b)
	case "say":
		say("%s", operand)
	case "exit":
		return n, true
	case "signal":
		_ = unix.Kill(os.Getpid(), unix.Signal(n))
		time.Sleep(time.Second) // it comes at once
		return fail("signal %d does nothing", n), true
	case "sleep":
		wait(unix.SIGTERM)
		return 0, true
	case "until":
		say("got %d", wait(unix.Signal(n)))
		return 0, true
	case "stubborn":
		signal.Ignore(unix.SIGTERM)
		say("stubborn")
		for {
			time.Sleep(time.Hour)
		}
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	default:
		return act(word, operand, n)
	}
	return 0, false
}

func act(word, operand string, n int) (code int, done bool) {
	switch word {
	case "pause":
		time.Sleep(time.Duration(n) * time.Millisecond)
	case "read":
		b, err := os.ReadFile(operand)
		if err != nil {
			say("%v", err)
			return 3, true
		}
		line, _, _ := strings.Cut(string(b), "\n")
		say("read %s", line)
	case "write":
		if err := os.WriteFile(operand, []byte("written\n"), 0o644); err != nil {
			say("%v", err)
			return 3, true
		}
		say("wrote %s", operand)
	case "remove":
		if err := os.Remove(operand); err != nil {
			say("%v", err)
			return 3, true
		}
	case "spawn":
		// A root without /dev and /proc has what we have.
		c := &exec.Cmd{
			Path: "/" + Name, Args: []string{Name, "stubborn"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		}
		if err := c.Start(); err != nil {
			return fail("%v", err), true
		}
		say("spawned %d", c.Process.Pid)
	case "eat":
		b := make([]byte, n<<20)
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		say("ate %d", len(b)>>20)
	case "dial":
		c, err := net.DialTimeout("tcp", operand, 5*time.Second)
		if err != nil {
			say("%v", err)
			return 4, true
		}
		b, _ := io.ReadAll(io.LimitReader(c, 100))
		say("heard %s", b)
	case "finish":
		b, err := json.Marshal(Look("finish"))
		if err == nil {
			err = os.WriteFile(operand, b, 0o644)
		}
		if err != nil {
			return fail("%v", err), true
		}
	default:
		return fail("unknown word %q", word), true
	}
	return 0, false
}

func wait(sig unix.Signal) unix.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig)
	say("waiting")
	return (<-c).(unix.Signal)
}
