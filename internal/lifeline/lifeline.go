// Package lifeline ends the processes that a test starts when the test process
// ends, in whatever way: by a timeout, a panic or a kill. It works where a
// process can be handed open files, which is not so on Windows.
//
// The test process holds one end of a pipe until it ends, and every child the
// other. A signal at the parent's death, which Linux knows, would come too soon:
// when the thread ends that started the child.
package lifeline

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
)

// descriptor is the environment variable that tells a child where the pipe is.
const descriptor = "TEST_LIFELINE"

// pipe returns the children's end and this process's, which the system closes
// when the process ends.
var pipe = sync.OnceValues(func() (ends [2]*os.File, err error) {
	ends[0], ends[1], err = os.Pipe()
	return ends, err
})

// Tie makes cmd, which is not started yet and whose Env is set, end with this
// process if it calls Watch.
func Tie(cmd *exec.Cmd) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	ends, err := pipe()
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Environ(), descriptor+"="+strconv.Itoa(3+len(cmd.ExtraFiles)))
	cmd.ExtraFiles = append(cmd.ExtraFiles, ends[0])
	return nil
}

// Watch ends this process when the one that tied it has ended. It returns at
// once, and does nothing in a process that is not tied.
func Watch() {
	fd, err := strconv.ParseUint(os.Getenv(descriptor), 10, 16)
	if err != nil {
		return
	}
	os.Unsetenv(descriptor) // it is not for the children of this process
	parent := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		parent.Read(make([]byte, 1)) // returns at the end of the pipe: nothing is ever written
		os.Exit(1)
	}()
}
