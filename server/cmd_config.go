package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// cmdConfig prints the settings in force as a configuration file, or the table
// of all settings.
func cmdConfig(cfg *config, sys system) error {
	if cfg.docs {
		return writeSettingsTable(sys.stdout, cfg.flags)
	}
	return writeConfig(sys.stdout, cfg)
}

// writeConfig writes every setting with its origin. What it writes can be
// given to --config_file and means the same.
func writeConfig(w io.Writer, cfg *config) error {
	m := &yaml.Node{Kind: yaml.MappingNode}
	group := ""
	values := reflect.ValueOf(cfg.Settings)
	for _, flag := range visible(cfg.flags) {
		if flag.Name == "config_file" {
			continue
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: flag.Name}
		if g := flag.Group.Title; g != group {
			group = g
			key.HeadComment = group
		}
		value := yamlValue(values.FieldByIndex(settingIndex(flag.Name)))
		value.LineComment = cfg.origin(flag.Name).String()
		m.Content = append(m.Content, key, value)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(m); err != nil {
		return err
	}
	return enc.Close()
}

// visible returns the flags that are neither refused nor deprecated.
func visible(flags []*kong.Flag) []*kong.Flag {
	var out []*kong.Flag
	for _, flag := range flags {
		if !flag.Hidden {
			out = append(out, flag)
		}
	}
	return out
}

// settingIndex returns the index of the field of Settings that is the flag.
func settingIndex(name string) []int {
	for f := range reflect.TypeFor[Settings]().Fields() {
		if f.Tag.Get("name") == name {
			return f.Index
		}
	}
	panic("no field for setting " + name)
}

func yamlValue(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch x := v.Interface().(type) {
	case time.Duration:
		n.Value = formatDuration(x)
	case string:
		n.SetString(x)
		n.Style = yaml.DoubleQuotedStyle
	case []float64:
		n = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, f := range x {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(f, 'g', -1, 64)})
		}
	default:
		n.Value = fmt.Sprint(x)
	}
	return n
}

// formatDuration writes 3h, not 3h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// writeSettingsTable writes the Markdown table of all settings.
func writeSettingsTable(w io.Writer, flags []*kong.Flag) error {
	var b strings.Builder
	group := ""
	for _, flag := range visible(flags) {
		if g := flag.Group.Title; g != group {
			group = g
			fmt.Fprintf(&b, "\n### %s\n\n| Setting | Default | Meaning | bazel-remote's variable |\n|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", flag.Name, tableDefault(flag), flag.Help, tableVariable(flag))
	}
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	return err
}

func tableDefault(flag *kong.Flag) string {
	switch {
	case flag.Tag.Has("auto"):
		return flag.Tag.Get("auto")
	case flag.HasDefault:
		return "`" + strings.ReplaceAll(flag.Default, ",", ", ") + "`"
	case flag.IsBool():
		return "`false`"
	}
	return "none"
}

func tableVariable(flag *kong.Flag) string {
	if names := variables(flag); len(names) > 1 {
		return "`" + names[1] + "`"
	}
	return ""
}
