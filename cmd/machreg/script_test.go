package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this binary as machreg.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"machreg": main,
	})
}

// TestScript runs every script in testdata/script: one for each verb, with its
// errors and exit codes.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MACHREG_FILE", env.WorkDir+"/machines.json")
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("USERPROFILE", env.WorkDir+"/home") // what Windows has for HOME
			env.Setenv("ESC", "\x1b")
			return os.Mkdir(env.WorkDir+"/home", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits,
		},
	})
}
