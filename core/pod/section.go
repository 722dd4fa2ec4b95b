package pod

// Section is a directory below pods/.
type Section string

// The sections, in the order of a pod's life.
const (
	Embryo        Section = "embryo"         // being made, holds nothing
	Prepare       Section = "prepare"        // being prepared; unlocked: aborted
	Prepared      Section = "prepared"       // complete, waits for run-prepared
	Run           Section = "run"            // locked: running; unlocked: exited
	ExitedGarbage Section = "exited-garbage" // exited, marked by gc; locked: being deleted
	Garbage       Section = "garbage"        // never ran; locked: being deleted
)

// sections is the order of search: a pod moves only to a later one, so a search in this order finds it
// wherever it is and moves to meanwhile.
func sections() []Section {
	return []Section{Embryo, Prepare, Prepared, Run, ExitedGarbage, Garbage}
}

// State is what users see (rkt-features.md POD-01).
type State string

// The states.
const (
	StateEmbryo         State = "embryo"
	StatePreparing      State = "preparing"
	StateAbortedPrepare State = "aborted prepare"
	StatePrepared       State = "prepared"
	StateRunning        State = "running"
	StateExited         State = "exited"
	StateExitedGarbage  State = "exited garbage"
	StateDeleting       State = "deleting"
	StateGarbage        State = "garbage"
)

// state derives what users see from where a pod is and whether its lock is held.
func state(s Section, locked bool) State {
	switch s {
	case Embryo:
		return StateEmbryo
	case Prepare:
		if locked {
			return StatePreparing
		}
		return StateAbortedPrepare
	case Prepared:
		if locked { // run-prepared has it and is about to move it
			return StatePreparing
		}
		return StatePrepared
	case Run:
		if locked {
			return StateRunning
		}
		return StateExited
	case ExitedGarbage:
		if locked {
			return StateDeleting
		}
		return StateExitedGarbage
	default:
		if locked {
			return StateDeleting
		}
		return StateGarbage
	}
}
