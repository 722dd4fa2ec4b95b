package broken

// Fault is one thing that is wrong with a plugin.
type Fault struct {
	Kind, Name string
	// Only are the checks that are run: IDs, or prefixes that end in "-". Fails are those of them that fail, all others
	// pass.
	Only, Fails []string
	// Chance: it is found only when a kill at a random moment comes at the one that counts, or when the kit looks late
	// enough.
	Chance bool
}

// late is a fault that is made some moments after what it changes.
func late(f Fault) Fault {
	f.Chance = true
	return f
}

// one is a fault that one check of a group finds.
func one(kind, group, number, name string) Fault {
	return Fault{Kind: kind, Name: name, Only: []string{group}, Fails: []string{group + number}}
}

// pair is a fault of a group whose checks take long: one that passes is run beside the one that finds it.
func pair(kind, passes, name string, fails ...string) Fault {
	return Fault{Kind: kind, Name: name, Only: append([]string{passes}, fails...), Fails: fails}
}

// Faults are all but those of files, which the test makes in a plugin's directory.
func Faults() []Fault {
	var out []Fault
	for _, l := range [][]Fault{everyPlugin(), fetchers(), verifiers(), networks(), stage1s()} {
		out = append(out, l...)
	}
	return out
}

func everyPlugin() []Fault {
	const kind = kindVerifier // the smallest
	return []Fault{
		{kind, "greets-first", []string{"PL-START-01", "PL-DESC-"}, []string{"PL-START-01", "PL-DESC-01", "PL-DESC-02"}, false},
		{kind, "names-another-socket", []string{"PL-START-01"}, []string{"PL-START-01"}, false},
		one(kind, "PL-START-", "02", "goes-on-on-stdout"),
		one(kind, "PL-START-", "03", "serves-by-hand"),
		{kind, "takes-the-last-version", []string{"PL-START-"}, []string{"PL-START-04", "PL-START-05"}, false},
		one(kind, "PL-START-", "05", "claims-newer-versions"),
		one(kind, "PL-START-", "06", "needs-tmp"),
		{kind, "deaf", []string{"PL-END-01", "PL-START-02"}, []string{"PL-END-01", "PL-START-02"}, false},
		one(kind, "PL-END-", "02", "leaves-socket"),
		one(kind, "PL-END-", "03", "leaves-process"),
		one(kind, "PL-END-", "04", "obeys-stdin"),
		one(kind, "PL-KILL-", "01", "locks-itself-out"),
		one(kind, "PL-DESC-", "01", "is-another-version"),
		one(kind, "PL-DESC-", "02", "changes-its-name"),
		one(kind, "PL-CONF-", "01", "takes-any-configuration"),
		one(kind, "PL-CONF-", "02", "remembers-a-bad-configuration"),
		one(kind, "PL-CONF-", "03", "needs-its-cache"),
		one(kind, "PL-PROBE-", "01", "has-no-remedy"),
		one(kind, "PL-PROBE-", "02", "probes-by-chance"),
		one(kindFetcher, "PL-WIRE-", "01", "is-strict"),
		one(kindFetcher, "PL-WIRE-", "02", "answers-anything"),
		one(kindFetcher, "PL-WIRE-", "03", "does-what-it-does-not-claim"),
		{kindFetcher, "gives-no-reasons", []string{"PL-WIRE-04", "PL-CONF-01"}, []string{"PL-WIRE-04", "PL-CONF-01"}, false},
		one(kind, "PL-WIRE-", "04", "invents-reasons"),
		pair(kindFetcher, "PL-DESC-01", "panics", "PL-WIRE-04", "PL-WIRE-05"),
		one(kind, "PL-WIRE-", "06", "takes-small-messages"),
		one(kind, "PL-WIRE-", "07", "ends-when-cancelled"),
		one(kind, "PL-LOG-", "01", "logs-without-level"),
		one(kind, "PL-LOG-", "02", "floods-the-log"),
		one(kind, "PL-MEM-", "01", "hogs-memory"),
	}
}

func fetchers() []Fault {
	const kind = kindFetcher
	fetch := func(number, name string) Fault { return pair(kind, "FE-FETCH-01", name, "FE-FETCH-"+number) }
	http := func(number, name string) Fault { return pair(kind, "FE-HTTP-01", name, "FE-HTTP-"+number) }
	return []Fault{
		{kind, "forgets-layers", []string{"FE-FETCH-01", "FE-FETCH-02", "FE-FETCH-04"}, []string{"FE-FETCH-01", "FE-FETCH-04"}, false},
		fetch("02", "goes-on-after-done"),
		fetch("03", "writes-beside"),
		fetch("04", "fetches-once"),
		fetch("06", "starts-again"),
		fetch("07", "cannot-skip"),
		fetch("08", "takes-the-first-platform"),
		fetch("09", "counts-backwards"),
		fetch("10", "ignores-cancellation"),
		fetch("11", "hears-no-end-while-it-works"),
		fetch("12", "keeps-blobs-in-memory"),
		fetch("13", "trusts-what-is-there"),
		{Kind: kind, Name: "trusts-its-own-haste", Only: []string{"FE-FETCH-01", "FE-FETCH-05", "FE-FETCH-13"},
			Fails: []string{"FE-FETCH-05", "FE-FETCH-13"}, Chance: true},
		one(kind, "FE-REF-", "01", "does-not-find-words"),
		one(kind, "FE-REF-", "02", "takes-any-reference"),
		pair(kind, "FE-HTTP-03", "believes-any-bytes", "FE-HTTP-01", "FE-HTTP-02"),
		http("02", "believes-any-size"),
		http("03", "believes-any-manifest"),
		http("04", "takes-a-break-for-a-lie"),
		http("05", "takes-failure-for-absence"),
		http("06", "does-not-see-throttling"),
		pair(kind, "FE-HTTP-01", "always-takes-http", "FE-HTTP-07", "FE-HTTP-09"),
		http("08", "believes-any-certificate"),
		http("09", "follows-to-http"),
		http("10", "always-denied"),
		http("11", "never-denied"),
		http("12", "sends-credentials-along"),
		http("13", "sends-credentials-to-anybody"),
		http("14", "has-no-patience"),
		pair(kind, "FE-FETCH-01", "moves-images-for-signatures", "FE-SIGN-01"),
		one(kind, "FE-RESOLVE-", "01", "resolves-another-name"),
		one(kind, "FE-RESOLVE-", "02", "resolves-by-chance"),
		one(kind, "FE-RESOLVE-", "03", "resolves-anything"),
		{kind, "converts-to-nothing", []string{"FE-CONVERT-01", "FE-CONVERT-03"}, []string{"FE-CONVERT-01"}, false},
		one(kind, "FE-CONVERT-", "02", "converts-once"),
		{kind, "consumes-its-source", []string{"FE-CONVERT-01", "FE-CONVERT-03"}, []string{"FE-CONVERT-03"}, false},
		one(kind, "FE-CONVERT-", "04", "converts-anything"),
	}
}

func verifiers() []Fault {
	const kind = kindVerifier
	verify := func(number, name string) Fault { return pair(kind, "VE-VERIFY-01", name, "VE-VERIFY-"+number) }
	return []Fault{
		{kind, "rejects-everything", []string{"VE-VERIFY-01", "VE-VERIFY-02"}, []string{"VE-VERIFY-01"}, false},
		verify("02", "takes-any-bytes"),
		verify("03", "takes-any-key"),
		pair(kind, "VE-VERIFY-01", "needs-no-signature", "VE-VERIFY-04"),
		verify("05", "needs-no-key"),
		{kind, "knows-no-time", []string{"VE-VERIFY-01", "VE-VERIFY-02", "VE-VERIFY-06", "VE-VERIFY-07"}, []string{"VE-VERIFY-06", "VE-VERIFY-07"}, false},
		verify("08", "has-one-error"),
		verify("09", "one-good-is-enough"),
		verify("10", "judges-any-type"),
		verify("11", "believes-names"),
		pair(kind, "VE-VERIFY-01", "accepts-everything", "VE-VERIFY-11", "VE-VERIFY-12"),
		verify("13", "writes-its-verdict"),
		verify("14", "changes-its-mind"),
		verify("15", "gives-no-word-why"),
		verify("16", "keeps-images-in-memory"),
		one(kind, "VE-SIGN-", "01", "needs-the-image"),
		one(kind, "VE-SIGN-", "02", "foresees-anything"),
	}
}

func networks() []Fault {
	const kind = kindNetwork
	setup := func(number, name string) Fault { return pair(kind, "NE-SETUP-01", name, "NE-SETUP-"+number) }
	down := func(number, name string) Fault { return pair(kind, "NE-SETUP-01", name, "NE-DOWN-"+number) }
	return []Fault{
		{kind, "names-what-is-not-there", []string{"NE-SETUP-01"}, []string{"NE-SETUP-01"}, false},
		setup("02", "forgets-its-addresses"),
		pair(kind, "NE-SETUP-01", "sets-up-once", "NE-SETUP-02", "NE-SETUP-03"),
		setup("04", "knows-any-network"),
		setup("05", "has-one-address"),
		setup("06", "gives-ports-away"),
		one(kind, "NE-CHECK-", "01", "sees-damage"),
		one(kind, "NE-CHECK-", "02", "sees-no-damage"),
		down("01", "leaves-a-link"),
		down("02", "needs-the-namespace"),
		down("03", "needs-its-state"),
		down("04", "tears-down-once"),
		down("05", "needs-a-setup"),
		down("06", "takes-all-down"),
		one(kind, "NE-SWEEP-", "01", "never-sweeps"),
		pair(kind, "NE-SETUP-01", "sweeps-everything", "NE-SWEEP-01", "NE-SWEEP-02"),
		one(kind, "NE-SWEEP-", "02", "always-says-swept"),
		pair(kind, "NE-SETUP-01", "publishes-no-port", "NE-PORT-01"),
	}
}

func stage1s() []Fault {
	const kind = kindStage1
	group := func(group, number, name string) Fault { return one(kind, group, number, name) }
	two := func(name, passes string, fails ...string) Fault { return pair(kind, passes, name, fails...) }
	return []Fault{
		{kind, "refuses-every-pod", []string{"S1-VALID-01", "S1-VALID-02"}, []string{"S1-VALID-01"}, false},
		group("S1-VALID-", "02", "marks-what-it-has-seen"),
		group("S1-VALID-", "03", "knows-every-key"),
		{kind, "takes-any-document", []string{"S1-VALID-"}, []string{"S1-VALID-04"}, false},
		group("S1-VALID-", "05", "takes-any-volume"),
		two("enters-the-dead", "S1-VALID-01", "S1-ENTER-01", "S1-ENTER-02"),
		two("enters-the-unknown", "S1-ENTER-01", "S1-ENTER-02"),
		two("loses-the-status-of-what-entered", "S1-ENTER-02", "S1-ENTER-03"),
		two("enters-the-host", "S1-ENTER-02", "S1-ENTER-03"),
		two("enters-without-a-terminal", "S1-ENTER-03", "S1-ENTER-04"),
		two(None, "S1-ENTER-03", "S1-ENTER-05", "S1-LIMIT-02", "S1-ISO-01", "S1-ISO-02", "S1-ISO-06"),
		two("stops-the-living-alone", "S1-STOP-05", "S1-STOP-01"),
		two("counts-the-dead", "S1-VALID-01", "S1-STATS-01"),
		two("attaches-to-the-dead", "S1-VALID-01", "S1-ATTACH-01"),
		two("takes-from-the-dead", "S1-VALID-01", "S1-APP-01"),
		two("limits-the-dead", "S1-VALID-01", "S1-LIMIT-01"),
		two("cleans-what-ran", "S1-CRASH-02", "S1-CLEAN-01"),
		two("plans-a-foreign-program", "S1-VALID-01", "S1-RUN-01"),
		two("plans-a-lost-descriptor", "S1-VALID-01", "S1-RUN-01"),
		two("runs-once", "S1-RUN-01", "S1-RUN-02"),
		two("litters-the-pod", "S1-RUN-01", "S1-RUN-03"),
		late(two("writes-another-pid", "S1-LIFE-02", "S1-LIFE-01")),
		late(two("writes-no-status", "S1-LIFE-01", "S1-LIFE-02")),
		late(two("lets-the-lock-go", "S1-LIFE-01", "S1-LIFE-03")),
		two("always-succeeds", "S1-LIFE-01", "S1-LIFE-04"),
		two("takes-signals-for-statuses", "S1-LIFE-04", "S1-LIFE-05"),
		two("knows-one-failure-of-exec", "S1-LIFE-04", "S1-LIFE-06"),
		two("forgives-failure", "S1-LIFE-04", "S1-LIFE-07"),
		two("ends-with-the-first", "S1-LIFE-07", "S1-LIFE-08"),
		two("leaks-its-environment", "S1-LIFE-10", "S1-LIFE-09"),
		two("leaks-a-descriptor", "S1-LIFE-09", "S1-LIFE-10"),
		two("gives-everybody-its-input", "S1-LIFE-10", "S1-LIFE-11"),
		two("has-no-finish", "S1-LIFE-04", "S1-LIFE-12"),
		two("cannot-start-twice", "S1-LIFE-04", "S1-LIFE-13"),
		two("leaves-orphans", "S1-LIFE-04", "S1-LIFE-14"),
		two("has-no-logs", "S1-LIFE-04", "S1-LIFE-15"),
		late(two("opens-its-socket-to-all", "S1-LIFE-04", "S1-LIFE-16")),
		two("knows-one-stop-signal", "S1-STOP-05", "S1-STOP-02"),
		two("stops-by-force", "S1-STOP-05", "S1-STOP-03"),
		two("has-no-force", "S1-STOP-02", "S1-STOP-04"),
		two("dies-of-a-signal", "S1-STOP-02", "S1-STOP-05"),
		two("leaves-apps-behind", "S1-LIFE-03", "S1-CRASH-01"),
		two("cleans-what-ended", "S1-CLEAN-01", "S1-CRASH-02"),
		two("knows-no-cgroup", "S1-LIFE-01", "S1-CGROUP-01"),
		two("leaves-a-mount", "S1-LIFE-04", "S1-CLEAN-02"),
		two("has-no-overlay", "S1-LIFE-04", "S1-ISO-03", "S1-ISO-08", "S1-ISO-09"),
		two("shows-the-hosts-processes", "S1-ISO-03", "S1-ISO-04", "S1-ISO-07"),
		two("shows-a-file-of-the-host", "S1-ISO-03", "S1-ISO-05"),
		two("takes-any-volume", "S1-ISO-03", "S1-ISO-10"),
	}
}
