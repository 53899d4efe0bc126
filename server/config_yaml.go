package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the bytes of a configuration file that are read.
const maxConfigFile = 1 << 20

// readConfigFile reads the settings made in a YAML file, by flag name.
func readConfigFile(path string, flags []*kong.Flag) (map[string]given, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration file: %w", err)
	}
	if len(data) > maxConfigFile {
		return nil, fmt.Errorf("%s: configuration file is over %d bytes", path, maxConfigFile)
	}
	return parseConfigFile(path, data, flags)
}

// parseConfigFile is strict: a key that names no setting, a key that comes
// twice, or a second document is an error, as each would otherwise be a
// setting silently without effect.
func parseConfigFile(path string, data []byte, flags []*kong.Flag) (map[string]given, error) {
	root, err := yamlMapping(data)
	if err != nil || root == nil {
		return nil, prefixError(path, err)
	}
	names := map[string]*kong.Flag{}
	for _, flag := range flags {
		names[flag.Name] = flag
	}
	c := configFile{path: path, names: names, found: map[string]given{}}
	return c.found, c.mapping(root, "")
}

func prefixError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

// yamlMapping returns the one mapping that the data holds; nil if it is empty.
func yamlMapping(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document: keep one")
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	if root := doc.Content[0]; root.Kind == yaml.MappingNode {
		return root, nil
	}
	return nil, fmt.Errorf("line %d: want lines of the form \"setting: value\"", doc.Content[0].Line)
}

// configFile collects the settings of one file.
type configFile struct {
	path  string
	names map[string]*kong.Flag
	found map[string]given
}

// mapping collects the settings of a mapping, whose keys are flags without
// that prefix.
func (c *configFile) mapping(m *yaml.Node, prefix string) error {
	seen := map[string]int{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if first, twice := seen[key.Value]; twice {
			return c.errorf(key, "%q is set twice: the first is on line %d", key.Value, first)
		}
		seen[key.Value] = key.Line
		if err := c.setting(key, value, prefix); err != nil {
			return err
		}
	}
	return nil
}

func (c *configFile) setting(key, value *yaml.Node, prefix string) error {
	name := prefix + key.Value
	if key.Kind != yaml.ScalarNode {
		return c.errorf(key, "want the name of a setting here")
	}
	if section, ok := sections()[name]; ok && prefix == "" {
		return c.section(key, value, section+".")
	}
	flag, ok := c.names[name]
	if !ok {
		return c.errorf(key, "%q is no setting%s", name, didYouMean(name, c.known()))
	}
	if name == "config_file" {
		return c.errorf(key, "a configuration file cannot name another: remove %q", name)
	}
	g, err := c.value(flag, value)
	if err != nil {
		return err
	}
	g.origin = origin{kind: fromFile, name: c.path, line: key.Line}
	c.found[name] = g
	return nil
}

// section reads a section of bazel-remote's file.
func (c *configFile) section(key, value *yaml.Node, prefix string) error {
	switch {
	case value.Kind == yaml.MappingNode:
		return c.mapping(value, prefix)
	case value.Tag == "!!null":
		return nil
	}
	return c.errorf(value, "%s: want indented lines of the form \"setting: value\"", key.Value)
}

// value returns the text of a scalar, or of a list where the setting is one.
func (c *configFile) value(flag *kong.Flag, v *yaml.Node) (given, error) {
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		return given{}, c.errorf(v, "%s has no value: give one, or remove the line", flag.Name)
	case v.Kind == yaml.ScalarNode:
		return given{text: v.Value}, nil
	case v.Kind == yaml.SequenceNode && flag.IsSlice():
		return c.list(flag, v)
	}
	return given{}, c.errorf(v, "%s: want one value", flag.Name)
}

func (c *configFile) list(flag *kong.Flag, v *yaml.Node) (given, error) {
	var parts []string
	for _, item := range v.Content {
		if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
			return given{}, c.errorf(item, "%s: want a list of plain values", flag.Name)
		}
		parts = append(parts, item.Value)
	}
	return given{text: strings.Join(parts, ","), list: true}, nil
}

func (c *configFile) known() []string {
	var names []string
	for name, flag := range c.names {
		if !flag.Hidden {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *configFile) errorf(at *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", c.path, at.Line, fmt.Sprintf(format, args...))
}
