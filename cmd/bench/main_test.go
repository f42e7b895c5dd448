package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/measure"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

func TestMain(m *testing.M) {
	child.Main(measure.Roles())
	os.Exit(m.Run())
}

// bench runs the program and returns the report that it wrote as JSON.
func bench(t *testing.T, args ...string) (*report.Report, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	args = append(args, "-json", path, "-dir", dir)
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != 0 {
		t.Fatalf("bench %v = %d\n%s", args, code, stderr.String())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "machreg-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return &r, stdout.String()
}

// TestEveryMeasure runs each with as little as it takes, and demands a
// plausible figure of every store that should have one, and no lost write of
// those that promise to lose none. How fast anything is it does not ask.
func TestEveryMeasure(t *testing.T) {
	all := []string{peer.Machreg, peer.Floor, peer.Baseline, "bbolt", peer.SQLite}
	for _, m := range measure.All() {
		t.Run(m.Name, func(t *testing.T) {
			want := map[string][]string{
				"get":     append([]string{"memdb", "bbolt-raw", peer.Machreg + " latest"}, all...),
				"list":    append([]string{"memdb"}, all...),
				"latency": {peer.Machreg, peer.Floor, peer.Baseline, peer.SQLite},
				"add":     append([]string{peer.BaselineLocked}, all...),
				"group":   append([]string{peer.BaselineLocked}, all...),
				"shared":  {peer.Machreg, peer.Baseline, peer.BaselineLocked, peer.SQLite},
				"mixed":   append([]string{peer.BaselineLocked}, all...),
				"reload":  {peer.Machreg, peer.Floor, peer.Baseline, "encoding/json"},
				"open":    append([]string{"encoding/json"}, all...),
				"tx":      {peer.Machreg, peer.Machreg + " refused", peer.Machreg + " overtaken once", peer.Floor, "bbolt", peer.SQLite},
				"memory":  {peer.Machreg, peer.Baseline, "bbolt", peer.SQLite, "memdb"},
				"wake":    {peer.Machreg, peer.Floor},
			}[m.Name]
			args := []string{"-measures", m.Name, "-sizes", "20", "-rounds", "1", "-slice", "5ms"}
			switch m.Name {
			case "memory":
				args = append(args, "-sizes", "1000")
			case "shared", "mixed":
				args = append(args, "-processes", "1,2", "-goroutines", "2", "-reads", "50")
			case "group":
				args = append(args, "-goroutines", "4")
			}
			r, table := bench(t, args...)
			for _, store := range want {
				i := slices.IndexFunc(r.Rows, func(row report.Row) bool { return row.Store == store })
				if i < 0 {
					t.Errorf("nothing measured of %q", store)
					continue
				}
				if !strings.Contains(table, "\n  "+store+" ") {
					t.Errorf("%q is not in the table\n%s", store, table)
				}
			}
			for _, row := range r.Rows {
				if !(row.Cost > 0) || math.IsInf(row.Cost, 0) {
					t.Errorf("%s: %s costs %v %s", row.Shape, row.Store, row.Cost, row.Unit)
				}
				if lost := row.Details["lost"]; lost != 0 && row.Store != peer.Baseline && row.Store != peer.Floor {
					t.Errorf("%s: %s lost %v acknowledged writes", row.Shape, row.Store, lost)
				}
			}
		})
	}
}

// TestTargets runs the preset at its sizes, and demands a figure for every
// target.
func TestTargets(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: fills registries with 100,000 machines")
	}
	r, table := bench(t, "-preset", "targets", "-rounds", "1", "-slice", "20ms")
	if len(r.Targets) != 11 {
		t.Errorf("%d targets, want 11", len(r.Targets))
	}
	for _, o := range r.Targets {
		if runtime.GOMAXPROCS(0) > 1 && strings.Contains(o.Measured, "not measured") {
			t.Errorf("%s: %s", o.What, o.Measured)
		}
		if !strings.Contains(table, o.What) {
			t.Errorf("%q is not in the table", o.What)
		}
	}
}

func TestGrowthPage(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: fills registries with 10,000 machines")
	}
	dir := t.TempDir()
	bench(t, "-growth", "-growth-dir", dir, "-rounds", "1", "-slice", "5ms", "-sizes", "10,1000,10000")
	page, err := os.ReadFile(filepath.Join(dir, "GROWTH.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read", "commit", "reload", "memory"} {
		svg, err := os.ReadFile(filepath.Join(dir, "growth", name+".svg"))
		if err != nil {
			t.Error(err)
		}
		if n := len(svg); n < 1000 || n > 100_000 || !bytes.Contains(svg, []byte("<svg")) {
			t.Errorf("%s.svg is %d bytes", name, n)
		}
		if !bytes.Contains(page, []byte("(growth/"+name+".svg)")) {
			t.Errorf("the page does not show %s.svg", name)
		}
	}
}

// TestDocumentedCommands runs every command with which a document of the
// repository runs this program, on few machines and for an instant.
func TestDocumentedCommands(t *testing.T) {
	command := regexp.MustCompile(`\bgo run \.((?: +-?[\w.,]+)*)`)
	found := make(map[string]string)
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range command.FindAllSubmatch(text, -1) {
			found[string(m[1])] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for args, path := range found {
		t.Run(strings.TrimSpace(args), func(t *testing.T) {
			dir := t.TempDir()
			little := []string{"-rounds", "1", "-slice", "20ms", "-sizes", "1000", "-goroutines", "2", "-processes", "2", "-reads", "50",
				"-json", filepath.Join(dir, "report.json"), "-dir", dir, "-growth-dir", dir}
			var stdout, stderr bytes.Buffer
			if code := run(append(strings.Fields(args), little...), &stdout, &stderr); code != 0 || stdout.Len() == 0 {
				t.Errorf("%s: go run .%s = %d, %d bytes of output\n%s", path, args, code, stdout.Len(), stderr.String())
			}
		})
	}
	if len(found) < 5 {
		t.Errorf("only %d commands were found", len(found))
	}
}

func TestBadFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`preset "none"`:          {"-preset", "none"},
		`measure "none"`:         {"-measures", "none"},
		`store "none"`:           {"-stores", "none"},
		`-sizes "1,x"`:           {"-sizes", "1,x"},
		`-goroutines "0"`:        {"-goroutines", "0"},
		`unexpected argument`:    {"quick"},
		`flag provided but not`:  {"-none"},
		`no such file or direct`: {"-dir", filepath.Join(t.TempDir(), "none")},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code == 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("run(%v) = %d, %q; want an error with %q", args, code, stderr.String(), want)
		}
	}
}

func TestList(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-list"}, &stdout, &stderr); code != 0 {
		t.Fatal(stderr.String())
	}
	for _, want := range []string{"targets", "latency", "memdb"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("-list does not list %q", want)
		}
	}
}
