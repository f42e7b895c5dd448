package main

import (
	"os"
)

// init makes this test binary a worker when a comparison in a test starts it as
// one: the fuzz target and others run the command in their own process.
func init() {
	if len(os.Args) == 3 && os.Args[1] == "compare" && os.Args[2] == "worker" {
		main()
	}
}
