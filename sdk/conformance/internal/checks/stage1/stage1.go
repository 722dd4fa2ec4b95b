package stage1

import (
	"context"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Bounds of time. A pod may be a machine that is emulated, and still boots.
const (
	startLimit = 90 * time.Second
	endLimit   = 30 * time.Second
	checkLimit = 6 * time.Minute
)

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(level suite.Level, capability, id, title string, run func(context.Context, *suite.Env) error) suite.Check {
		return suite.Check{
			ID: id, Title: title, Level: level, Service: manifest.ServiceStage1, Capability: capability, Limit: checkLimit, Run: run,
		}
	}
	static, life, inside := suite.Protocol, suite.Lifecycle, suite.Isolation
	return []suite.Check{
		check(static, "", "S1-VALID-01", "Validate takes a plain pod", validates),
		check(static, "", "S1-VALID-02", "Validate says the same twice and changes nothing", validatesAgain),
		check(static, "", "S1-VALID-03", "unknown keys of pod.json are ignored", validatesLater),
		check(static, "", "S1-VALID-04", "a pod.json that cannot be read is an error", validatesGarbage),
		check(static, "", "S1-VALID-05", "what the flavor cannot do is an error diagnostic", validatesUnknown),
		check(static, "enter", "S1-ENTER-01", "Enter of a pod that does not run is POD_NOT_RUNNING", enterEnded),
		check(static, "stop", "S1-STOP-01", "Stop of a pod that has ended succeeds", stopEnded),
		check(static, "stats", "S1-STATS-01", "Stats of a pod that does not run is POD_NOT_RUNNING", statsEnded),
		check(static, "attach", "S1-ATTACH-01", "Attach to a pod that does not run is POD_NOT_RUNNING", attachEnded),
		check(static, "mutable", "S1-APP-01", "changing a pod that does not run is POD_NOT_RUNNING", changeEnded),
		check(static, "resources", "S1-LIMIT-01", "UpdateResources of a pod that does not run is POD_NOT_RUNNING", limitEnded),
		check(static, "", "S1-CLEAN-01", "Cleanup of a pod that never ran succeeds, twice", cleanNothing),

		check(life, "", "S1-RUN-01", "Run's plan names what core can become", plans),
		check(life, "", "S1-RUN-02", "Run again plans the same, also after a kill", plansAgain),
		check(life, "", "S1-RUN-03", "Run writes below stage1 alone", plansInside),
		check(life, "", "S1-LIFE-01", "the file pid is the supervisor's", pidFile),
		check(life, "", "S1-LIFE-02", "the file ready comes when every app runs", readyFile),
		check(life, "", "S1-LIFE-03", "the lock is held as long as the pod lives", lock),
		check(life, "", "S1-LIFE-04", "an app's exit status is its own, the pod's and the supervisor's", exitStatus),
		check(life, "", "S1-LIFE-05", "an app that a signal ended has 128 and the signal", exitSignal),
		check(life, "", "S1-LIFE-06", "a program that is missing is 127, one that cannot be executed 126", notExecuted),
		check(life, "", "S1-LIFE-07", "when one app fails the others are stopped, and its status is the pod's", oneFails),
		check(life, "", "S1-LIFE-08", "a pod whose apps succeed lives until the last one ends", lastOne),
		check(life, "", "S1-LIFE-09", "an app gets its arguments, environment, directory and user, and nothing else", surroundings),
		check(life, "", "S1-LIFE-10", "an app has descriptors 0, 1 and 2 alone", descriptors),
		check(life, "", "S1-LIFE-11", "standard input is the supervisor's, or empty", input),
		check(life, "", "S1-LIFE-12", "at its end the supervisor becomes the finish program, with the lock", finish),
		check(life, "", "S1-LIFE-13", "a pod can be started again after its supervisor was killed", restart),
		check(life, "", "S1-LIFE-14", "what an app leaves behind ends with the pod", orphan),
		check(life, "", "S1-LIFE-15", "a detached pod's output goes to its logs", detached),
		check(life, "", "S1-LIFE-16", "the control socket answers, and is its owner's alone", control),
		check(life, "stop", "S1-STOP-02", "Stop sends each app its stop signal, and the pod says that it was stopped", stop),
		check(life, "stop", "S1-STOP-03", "what outlives the grace time is killed", stopGrace),
		check(life, "stop", "S1-STOP-04", "Stop by force does not wait", stopForce),
		check(life, "", "S1-STOP-05", "SIGTERM to the supervisor stops the pod", stopSignal),
		check(life, "", "S1-CRASH-01", "with the supervisor its apps end, and the lock is free", crash),
		check(life, "", "S1-CRASH-02", "Cleanup after a crash succeeds, twice, and leaves no mount", crashClean),
		check(life, "", "S1-CLEAN-02", "nothing of an ended pod is left but its directory", clean),
		check(life, "", "S1-CGROUP-01", "the pod's processes are in its cgroup", inCgroup),
		check(life, "enter", "S1-ENTER-02", "Enter of an unknown app is APP_NOT_FOUND", enterUnknown),
		check(life, "enter", "S1-ENTER-03", "an entered command runs in the app's root, and its exit status is passed on", enterStatus),
		check(life, "enter", "S1-ENTER-04", "an entered command has a terminal when it is asked for", enterTTY),

		check(inside, "enter", "S1-ENTER-05", "an entered command is confined as the app is", enterConfined),
		check(inside, "", "S1-LIMIT-02", "an app does not get more memory than it may have, and when it was killed its status says why", memoryLimit),
		check(inside, "", "S1-ISO-01", "an app has no more capabilities than pod.json names", isoCapabilities),
		check(inside, "", "S1-ISO-02", "the seccomp filter and no_new_privs are on", isoSeccomp),
		check(inside, "", "S1-ISO-03", "a read-only root cannot be written", isoReadOnly),
		check(inside, "", "S1-ISO-04", "an app sees no process of the host", isoProcesses),
		check(inside, "", "S1-ISO-05", "an app sees its image's files and no others", isoRoot),
		check(inside, "", "S1-ISO-06", "an app has the pod's hostname and network", isoHostname),
		check(inside, "", "S1-ISO-07", "the kernel's own files are closed to an app", isoKernel),
		check(inside, "", "S1-ISO-08", "what an app writes stays in its pod", isoLayers),
		check(inside, "", "S1-ISO-09", "an app does not see what another app wrote", isoApps),
		check(inside, "", "S1-ISO-10", "an empty volume is shared by the apps that mount it, and read-only where it is said", isoVolume),
	}
}
