package lifeline_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/lifeline"
)

// role makes the re-executed test binary a parent or its child.
const role = "LIFELINE_TEST_ROLE"

func TestMain(m *testing.M) {
	lifeline.Watch()
	switch os.Getenv(role) {
	case "parent":
		cmd, err := start("child", os.Stdout)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		cmd.Wait()
	case "child":
		fmt.Print("up")
		for {
			time.Sleep(time.Hour)
		}
	default:
		os.Exit(m.Run())
	}
}

// start starts this binary in a role, tied to this process.
func start(as string, stdout *os.File) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stdout = stdout
	if err := lifeline.Tie(cmd); err != nil {
		return nil, err
	}
	return cmd, cmd.Start()
}

// A child ends when its parent is killed.
func TestChildEndsWithItsParent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be handed open files there")
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := start("parent", in)
	in.Close() // the parent and the child have it
	if err != nil {
		t.Fatal(err)
	}
	up := make([]byte, 2)
	if _, err := io.ReadFull(out, up); err != nil || string(up) != "up" {
		t.Errorf("the child says %q, %v, want that it is up", up, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	parent.Wait()
	// The output ends when the child has ended.
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("after its parent's end the child says %q, %v", rest, err)
	}
}
