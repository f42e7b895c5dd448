package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/measure"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
)

// preset is a choice of what to measure, and how thoroughly.
type preset struct {
	about   string
	configs []presetConfig
	targets bool // judge the results
}

type presetConfig struct {
	measure.Config
	measures []string
}

const growthPreset = "growth"

func presets() map[string]preset {
	const ms = time.Millisecond
	with := func(measures []string, c measure.Config) presetConfig { return presetConfig{c, measures} }
	return map[string]preset{
		"quick": {about: "everything at small sizes, in a few minutes", configs: []presetConfig{
			with([]string{"get", "list", "latency", "add", "group", "shared", "reload", "open", "tx", "memory", "wake"},
				measure.Config{Sizes: []int{1000}, Rounds: 5, Slice: 100 * ms}),
			with([]string{"mixed"}, measure.Config{Sizes: []int{1000}, Reads: []int{99}, Goroutines: []int{8}, Processes: []int{1, 4}, Rounds: 3, Slice: 200 * ms}),
		}},
		"targets": {about: "what machreg set out to reach, and whether it does", targets: true, configs: []presetConfig{
			with([]string{"get"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor, peer.Baseline}, Sizes: []int{1000}, Rounds: 401, Slice: 3 * ms}),
			with([]string{"latency"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{1000}, Rounds: 15, Slice: 400 * ms}),
			with([]string{"add"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{10, 1000}, Rounds: 151}),
			with([]string{"add"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{100_000}, Rounds: 41}),
			with([]string{"group"}, measure.Config{Stores: []string{peer.Machreg, peer.Baseline, peer.BaselineLocked}, Sizes: []int{1000}, Goroutines: []int{64}, Rounds: 7, Slice: 500 * ms}),
			with([]string{"shared"}, measure.Config{Stores: []string{peer.Machreg, peer.Unwatched, peer.SQLite, peer.Baseline, peer.BaselineLocked}, Sizes: []int{1000}, Rounds: 7, Slice: time.Second}),
			with([]string{"reload", "open"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{100_000}, Rounds: 9}),
			with([]string{"memory"}, measure.Config{Stores: []string{peer.Machreg}, Sizes: []int{100_000}, Rounds: 1}),
		}},
		"full": {about: "the whole matrix; hours", configs: []presetConfig{
			with([]string{"get", "list", "add", "reload", "open", "memory"}, measure.Config{Sizes: []int{10, 1000, 100_000, 1_000_000}, Rounds: 9, Slice: 100 * ms}),
			with([]string{"latency", "group", "shared", "tx", "wake"}, measure.Config{Sizes: []int{10, 1000, 100_000}, Rounds: 5, Slice: 500 * ms}),
			with([]string{"mixed"}, measure.Config{
				Sizes: []int{10, 1000, 100_000}, Reads: []int{100, 99, 90, 50}, Goroutines: []int{1, 8, 64}, Processes: []int{1, 4, 8},
				Rounds: 3, Slice: 500 * ms,
			}),
		}},
		growthPreset: {about: "how costs grow with size, for -growth", configs: []presetConfig{
			with([]string{"get"}, measure.Config{
				Stores: []string{peer.Machreg, peer.Floor, peer.Baseline, "bbolt", peer.SQLite}, Goroutines: []int{1},
				Sizes: []int{10, 100, 1000, 10_000, 100_000, 1_000_000}, Rounds: 5, Slice: 50 * ms,
			}),
			with([]string{"add"}, measure.Config{
				Stores: []string{peer.Machreg, peer.Floor, peer.BaselineLocked, "bbolt", peer.SQLite},
				Sizes:  []int{10, 100, 1000, 10_000, 100_000}, Rounds: 7,
			}),
			with([]string{"add"}, measure.Config{
				Stores: []string{peer.Machreg, peer.Floor, peer.BaselineLocked, "bbolt", peer.SQLite},
				Sizes:  []int{1_000_000}, Rounds: 2,
			}),
			with([]string{"reload"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{10, 100, 1000, 10_000, 100_000}, Rounds: 5}),
			with([]string{"reload"}, measure.Config{Stores: []string{peer.Machreg, peer.Floor}, Sizes: []int{1_000_000}, Rounds: 2}),
			with([]string{"memory"}, measure.Config{Stores: []string{peer.Machreg, peer.Baseline}, Sizes: []int{1000, 10_000, 100_000, 1_000_000}, Rounds: 1}),
		}},
	}
}

func presetNames() []string { return slices.Sorted(maps.Keys(presets())) }

func list(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	fmt.Fprintln(tw, "presets")
	for _, name := range presetNames() {
		fmt.Fprintf(tw, "  %s\t%s\n", name, presets()[name].about)
	}
	fmt.Fprintln(tw, "measures")
	for _, m := range measure.All() {
		fmt.Fprintf(tw, "  %s\t%s\n", m.Name, m.About)
	}
	fmt.Fprintln(tw, "stores")
	for _, k := range peer.Kinds() {
		fmt.Fprintf(tw, "  %s\t%s\n", k.Name, k.Note)
	}
}
