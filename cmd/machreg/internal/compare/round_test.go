package compare_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
)

// lingering is the environment variable that makes this binary a worker whose
// work takes no time, and whose end takes long.
const lingering = "MACHREG_TEST_LINGERING_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(lingering) == "" {
		os.Exit(m.Run())
	}
	in := bufio.NewReader(os.Stdin)
	spec, _ := in.ReadString('\n')
	begin := io.MultiReader(strings.NewReader(spec), (*firstRead)(in), strings.NewReader(`{"window":1}`))
	if err := compare.Serve(begin, os.Stdout); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	time.Sleep(100 * time.Millisecond)
}

// firstRead waits for a line, and ends.
type firstRead bufio.Reader

func (r *firstRead) Read([]byte) (int, error) {
	(*bufio.Reader)(r).ReadString('\n')
	return 0, io.EOF
}

// TestKilledWhenDone kills workers that have said that they are done and have
// not ended yet. That is a killed worker like any other.
func TestKilledWhenDone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w, err := compare.PresetNamed("crashy")
	if err != nil {
		t.Fatal(err)
	}
	w.Processes, w.Contestants = 1, []string{"machreg"}
	w.Rounds, w.Duration, w.Kill = 1, compare.Span(500*time.Millisecond), compare.Span(10*time.Millisecond)
	report, err := compare.Run(t.Context(), w, compare.Options{
		Dir: t.TempDir(),
		Worker: func() *exec.Cmd {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), lingering+"=1")
			return cmd
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if res := report.Results[0]; res.Kills == 0 || res.Lost != 0 {
		t.Errorf("%d workers killed, %d updates lost, want some and none", res.Kills, res.Lost)
	}
}
