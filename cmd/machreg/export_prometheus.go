package main

import (
	"iter"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

// targetGroup is one element of a Prometheus file_sd file.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (a *app) exportPrometheus() *cobra.Command {
	port := 9100
	c := a.exportFormat("prometheus", "Print targets for Prometheus", `Print a list of targets for the file_sd_configs of Prometheus, in JSON: for each
machine that has a host, the host with --port, and the labels machine, type and,
if it is known, town_path.`,
		`  machreg export prometheus --port 9100 > targets.json`,
		func(list iter.Seq[registry.Machine]) error { return a.printTargets(list, port) })
	c.Flags().IntVar(&port, "port", port, "`PORT` of the exporter on the machines; 0 leaves it out")
	return c
}

func (a *app) printTargets(list iter.Seq[registry.Machine], port int) error {
	if port < 0 || port > 65535 {
		return usagef("--port %d: want a number from 1 to 65535, or 0", port)
	}
	before := "[\n"
	for m := range list {
		if m.Host == "" {
			continue
		}
		d, err := sshconfig.ParseDestination(m.Host)
		if err != nil {
			a.skipped(m, err)
			continue
		}
		group := targetGroup{
			Targets: []string{d.Address(port)},
			Labels:  map[string]string{"machine": m.Name, "type": m.Type},
		}
		if m.TownPath != "" {
			group.Labels["town_path"] = m.TownPath
		}
		text, err := marshalJSON(group, "")
		if err != nil {
			return err
		}
		if a.out.Printf("%s%s", before, text); a.out.Err() != nil {
			return a.out.Err()
		}
		before = ",\n"
	}
	if before == "[\n" {
		a.out.Printf("[]\n")
	} else {
		a.out.Printf("\n]\n")
	}
	return a.out.Err()
}
