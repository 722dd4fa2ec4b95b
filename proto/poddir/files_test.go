package poddir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestReadPid(t *testing.T) {
	for content, want := range map[string]int{"1": 1, "4711\n": 4711, " 7 ": 7, "": 0, "0": 0, "-3": 0, "12x": 0, "99999999999999999999": 0} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, PidFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		pid, err := ReadPid(dir)
		if pid != want || (err == nil) != (want > 0) || err != nil && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %d, %v, want %d", content, pid, err, want)
		}
	}
	if _, err := ReadPid(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no pid file: %v", err)
	}
}

func TestReadStatus(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadStatus(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, StatusDir), 0o750); err != nil {
		t.Fatal(err)
	}
	want := map[string]AppStatus{"a": {Schema: Schema, State: AppExited, Code: 5}, "b": {Schema: Schema, State: AppRunning}}
	for name, s := range want {
		if err := WriteJSON(filepath.Join(dir, StatusDir), name, s); err != nil {
			t.Fatal(err)
		}
	}
	// Half a file of a supervisor that was killed.
	if err := os.WriteFile(filepath.Join(dir, StatusDir, "c.tmp123"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadStatus(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, StatusDir, "d"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStatus(dir); err == nil || !strings.Contains(err.Error(), "status/d") {
		t.Errorf("a damaged status is not named: %v", err)
	}
}

// A reader sees all of a file or none, whoever writes it meanwhile.
func TestWriteIsWhole(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 1<<16)
	if err := WriteFile(dir, "f", []byte(long)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := WriteFile(dir, "f", []byte(strings.Repeat("xy"[i%2:i%2+1], 1<<16))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 200 {
		b, err := os.ReadFile(filepath.Join(dir, "f"))
		if err != nil || len(b) != 1<<16 || strings.Trim(string(b), string(b[:1])) != "" {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	close(stop)
	wg.Wait()
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left %v, %v", names, err)
	}
}

// The names in the documents are the contract: a change here breaks every stage1 and every pod on disk.
func TestDocuments(t *testing.T) {
	score := -5
	for _, c := range []struct {
		v    any
		want string
	}{
		{App{Name: "a", Env: []string{"A=B"}, Capabilities: []string{}, Resources: Resources{OOMScoreAdj: &score}},
			`{"name":"a","image":{"name":"","manifest":"","id":""},"argv":null,"env":["A=B"],"rootfs":{"layers":null},"resources":{"oomScoreAdj":-5},"capabilities":[],"seccomp":{"mode":""}}`},
		{AppStatus{Schema: 1, State: AppRunning, Pid: 7}, `{"schema":1,"state":"running","pid":7,"code":0}`},
		{Cgroup{}, `{"version":0}`},
		{Volume{Name: "v", Kind: VolumeEmpty, Mode: 0o755}, `{"name":"v","kind":"empty","mode":493}`},
		{ControlRequest{Op: "stop", GraceSeconds: 5}, `{"op":"stop","graceSeconds":5}`},
		{ControlReply{OK: true}, `{"ok":true}`},
		{Plugins{Schema: 1, Plugins: map[string]PinnedPlugin{"stage1": {Name: "n", Version: "v", Digest: "d", Protocol: 1}}},
			`{"schema":1,"plugins":{"stage1":{"name":"n","version":"v","digest":"d","protocol":1}}}`},
	} {
		b, err := json.Marshal(c.v)
		if err != nil || string(b) != c.want {
			t.Errorf("%T is %s, %v\nwant %s", c.v, b, err, c.want)
		}
	}
}

// Whatever lies in a pod directory is read or refused, and what was read is written so that it reads the same.
func FuzzPod(f *testing.F) {
	f.Add([]byte(`{"schema":1,"uuid":"u","created":"2020-01-02T03:04:05.6Z","apps":[{"name":"a","argv":["x"],"env":[],"mounts":[{"volume":"v","target":"/t"}],"resources":{"memoryBytes":1}}]}`))
	f.Add([]byte(`{"apps":null}`))
	f.Add([]byte(`{"created":"not a time"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, PodFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var p, q Pod
		if ReadJSON(dir, PodFile, &p) != nil {
			return
		}
		if err := WriteJSON(dir, PodFile, p); err != nil {
			t.Skip(err) // a time outside what RFC 3339 can say
		}
		if err := ReadJSON(dir, PodFile, &q); err != nil {
			t.Fatal(err)
		}
		x, _ := json.Marshal(p)
		if y, err := json.Marshal(q); err != nil || string(x) != string(y) {
			t.Fatalf("%s\n%s, %v", x, y, err)
		}
	})
}
