package main

import (
	"errors"
	"iter"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

// exportAnsible prints the inventory as one tree, since YAML has no other way
// to put a host into a group than under it.
func (a *app) exportAnsible(list iter.Seq[registry.Machine]) error {
	hosts := make(map[string]*yaml.Node)
	groups := mapping()
	for m := range list {
		vars, err := ansibleVars(m)
		if err != nil {
			a.skipped(m, err)
			continue
		}
		group := "type_" + ansibleGroup(m.Type)
		if hosts[group] == nil {
			hosts[group] = mapping()
			inner := mapping()
			put(inner, "hosts", hosts[group])
			put(groups, group, inner)
		}
		put(hosts[group], m.Name, vars)
	}
	all := mapping()
	put(all, "children", groups)
	root := mapping()
	put(root, "all", all)
	enc := yaml.NewEncoder(a.out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

func ansibleVars(m registry.Machine) (*yaml.Node, error) {
	for _, r := range m.Name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return nil, errors.New("the name has a character besides letters, digits, - _ and . that Ansible may take for a pattern")
		}
	}
	vars := mapping()
	if m.Type == registry.TypeLocal {
		put(vars, "ansible_connection", value("local"))
	}
	if m.Host != "" {
		d, err := sshconfig.ParseDestination(m.Host)
		if err != nil {
			return nil, err
		}
		put(vars, "ansible_host", value(d.Host))
		if d.User != "" {
			put(vars, "ansible_user", value(d.User))
		}
		if d.Port != 0 {
			port := &yaml.Node{}
			port.Encode(d.Port)
			put(vars, "ansible_port", port)
		}
	}
	if m.KeyPath != "" {
		put(vars, "ansible_ssh_private_key_file", value(m.KeyPath))
	}
	if m.TownPath != "" {
		put(vars, "town_path", value(m.TownPath))
	}
	return vars, nil
}

// ansibleGroup makes a type fit to be part of the name of a group.
func ansibleGroup(kind string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, kind)
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func put(m *yaml.Node, key string, v *yaml.Node) {
	m.Content = append(m.Content, scalar(key), v)
}

// value is a string that Ansible must not run: in a plain one it would look for
// templates, which can execute anything.
func value(s string) *yaml.Node {
	n := scalar(s)
	if strings.Contains(s, "{{") || strings.Contains(s, "{%") || strings.Contains(s, "{#") {
		n.Tag, n.Style = "!unsafe", yaml.DoubleQuotedStyle
	}
	return n
}

// scalar is a string, in quotes unless it is plainly a word: Ansible reads an
// older YAML, in which no, on, 1:30 and many more are something else.
func scalar(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if !isPlainWord(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func isPlainWord(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-_./@", r)) {
			return false
		}
	}
	return true
}
