package proptest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// The names are few, so that commands meet each other, and of every kind that
// JSON and sorting treat in their own way.
var names = []string{"a", "b-1", "c.d", "e f", "ü<&>", "☃\"\\", registry.LocalName}

// A text is one that files, sorting and JSON may stumble over.
var texts = []string{"", "x", "/srv/town", `quo"te\`, "<&>", "ü☃", "\u00a0é", strings.Repeat("long", 40)}

var (
	nameGen = rapid.SampledFrom(names)
	textGen = rapid.SampledFrom(texts)

	machineGen = rapid.Custom(func(t *rapid.T) registry.Machine {
		return machineNamed(t, nameGen.Draw(t, "name"))
	})

	// badGen makes machines that no registry takes.
	badGen = rapid.SampledFrom([]registry.Machine{
		{Type: "local"},
		{Name: "a"},
		{Name: "b-1", Type: "ssh"},
		{Name: "b-1", Type: "ssh", TownPath: "/srv"},
	})

	// unsafeGen makes machines that the baseline takes and this module refuses.
	unsafeGen = rapid.SampledFrom([]registry.Machine{
		{Name: "a\x00", Type: "docker"},
		{Name: "a\x1b[2J", Type: "docker"},
		{Name: "a", Type: "docker", TownPath: "x\ny"},
		{Name: "a", Type: "docker", KeyPath: "\xff\xfe"},
		{Name: "a", Type: "ssh", Host: "-oProxyCommand=x"},
		{Name: "a", Type: "ssh", Host: "ci@-x"},
	})
)

func machineNamed(t *rapid.T, name string) registry.Machine {
	m := registry.Machine{
		Name:     name,
		Type:     rapid.SampledFrom([]string{"local", "ssh", "docker"}).Draw(t, "type"),
		KeyPath:  textGen.Draw(t, "key"),
		TownPath: textGen.Draw(t, "town"),
	}
	m.Host = rapid.SampledFrom([]string{"", "h", "ci@h", "ci@build-01.example"}).Draw(t, "host")
	if m.Type == registry.TypeSSH && m.Host == "" {
		m.Host = "h"
	}
	return m
}

// corruptFile is a file that no registry can read. Those that only the
// baseline can are included if strict.
func corruptFile(t *rapid.T, good []byte, strict bool) []byte {
	bad := []string{
		"", "{", "[]", "7", "null x", `{"version":1,"machines":[]}`,
		`{"version":1,"machines":{"a":{"name":"a","type":"x"},}}`,
		string(good[:len(good)/2]),
	}
	if strict {
		bad = append(bad,
			"{}", `{"version":1}`, `{"machines":{}}`, `{"version":2,"machines":{}}`, `{"version":"1","machines":{}}`,
			`{"version":1,"revision":-1,"machines":{}}`,
			`{"version":1,"machines":{"a":{"name":"a","type":"x"},"a":{"name":"a","type":"y"}}}`,
			"{\"version\":1,\"machines\":{\"a\":{\"name\":\"a\",\"type\":\"\xff\"}}}",
			fmt.Sprintf("%s{}", good),
			"\xef\xbb\xbf"+string(good),
		)
	}
	return []byte(rapid.SampledFrom(bad).Draw(t, "corruption"))
}
