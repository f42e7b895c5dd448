package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/lifeline"
	"github.com/machreg/machreg/registry"
)

// childRole makes the re-executed test binary the service itself, or a process
// that adds a machine.
const childRole = "LOOKUP_SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	lifeline.Watch()
	switch os.Getenv(childRole) {
	case "service":
		main()
	case "add":
		if err := addMachine(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// addMachine adds one machine, and prints the revision.
func addMachine(path, name string) error {
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		return err
	}
	defer reg.Close()
	rev, err := reg.Add(context.Background(), registry.Machine{Name: name, Type: "ssh", Host: "ci@" + name})
	fmt.Println(rev)
	return err
}

func childCommand(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	if err := lifeline.Tie(cmd); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// service is the service in a process of its own.
type service struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
}

func start(t *testing.T, file string) *service {
	t.Helper()
	cmd := childCommand(t, "service", "-file", file, "-addr", "127.0.0.1:0", "-wait", "20s")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the service says %q, %v", line, err)
	}
	return &service{t, cmd, url}
}

// elsewhere adds a machine in another process, and returns the revision.
func elsewhere(t *testing.T, file, name string) string {
	t.Helper()
	out, err := childCommand(t, "add", file, name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// get is one request; want is the status it must be answered with.
func (s *service) get(path string, want int, header ...string) (body, tag string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.t.Fatalf("GET %s = %d %s, %v; want %d", path, resp.StatusCode, content, err, want)
	}
	return string(content), resp.Header.Get("ETag")
}

func TestService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.json")
	s := start(t, file)
	if body, _ := s.get("/machines", http.StatusOK); body != `[{"name":"local","type":"local","host":"","key_path":"","town_path":""}]`+"\n" {
		t.Errorf("the machines of no file are %s", body)
	}
	s.get("/machines/build-01", http.StatusNotFound)

	rev := elsewhere(t, file, "build-01")
	body, tag := s.get("/machines/build-01?at-least="+rev, http.StatusOK)
	var m registry.Machine
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.Host != "ci@build-01" || tag != strconv.Quote(rev) {
		t.Errorf("machine %s with ETag %s, want that of revision %s", body, tag, rev)
	}
	if body, _ := s.get("/machines/build-01", http.StatusNotModified, "If-None-Match", `"7777", W/`+tag); body != "" {
		t.Errorf("an answer that is known already has the body %q", body)
	}
	if body, _ := s.get("/revision", http.StatusOK, "If-None-Match", `"7777"`); body != `{"revision":`+rev+"}\n" {
		t.Errorf("revision %s, want %s", body, rev)
	}
	s.get("/machines?at-least=soon", http.StatusBadRequest)
	if body, _ := s.get("/healthz", http.StatusOK); !strings.Contains(body, `"machines":2`) {
		t.Errorf("health %s, want 2 machines", body)
	}
}

// Nobody asks for a revision: the change arrives by itself.
func TestServiceKeepsCurrent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.json")
	s := start(t, file)
	rev := elsewhere(t, file, "build-01")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, tag := s.get("/revision", http.StatusOK); tag == strconv.Quote(rev) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("revision %s does not arrive", rev)
		}
	}
}

// The service is asked to end while a request waits for a revision that does
// not come: the request is answered, and the process ends well.
func TestServiceShutsDown(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a process cannot be asked to end on Windows")
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := start(t, filepath.Join(t.TempDir(), "machines.json"))
		s.get("/revision", http.StatusOK)
		waiting := make(chan error, 1)
		go func() {
			resp, err := http.Get(s.url + "/revision?at-least=1000")
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusGatewayTimeout {
					err = fmt.Errorf("status %s", resp.Status)
				}
			}
			waiting <- err
		}()
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v: the service ends with %v", sig, err)
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("%v: the service does not end", sig)
		}
		// A request that came too late is refused by the kernel.
		if err := <-waiting; err != nil && !strings.Contains(err.Error(), "connect") && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%v: the request that waited: %v", sig, err)
		}
	}
}

// The file is spoilt: answers go on, and the health check says so.
func TestServiceReportsTrouble(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.json")
	elsewhere(t, file, "build-01")
	s := start(t, file)
	if err := os.WriteFile(file, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		resp, err := http.Get(s.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a corrupt file is not reported")
		}
	}
	s.get("/machines/build-01", http.StatusOK)
	body, _ := s.get("/healthz", http.StatusServiceUnavailable)
	if !strings.Contains(body, "machines.json") {
		t.Errorf("health %s, want what is wrong with the file", body)
	}
}

// run ends with its context, and says what is wrong with its arguments.
func TestRun(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	stop()
	file := filepath.Join(t.TempDir(), "machines.json")
	if err := run(ctx, []string{"-file", file, "-addr", "127.0.0.1:0"}, io.Discard, io.Discard); err != nil {
		t.Errorf("run with an ended context: %v", err)
	}
	for _, args := range [][]string{{"-nonsense"}, {"-file", file, "-addr", "256.0.0.1:0"}, {"-file", t.TempDir()}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) = nil, want an error", args)
		}
	}
}
