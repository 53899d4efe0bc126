package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	larderPrefix = "LARDER_"
	bazelPrefix  = "BAZEL_REMOTE_"
)

// variables returns the environment variables that set the flag, the one that
// goes first, first.
func variables(flag *kong.Flag) []string {
	if r, ok := flag.Mapper.(refusal); ok && slices.Contains(r.names, flag.Name) {
		return []string{bazelVariable(flag.Name)}
	}
	upper := strings.ToUpper(flag.Name)
	names := []string{larderPrefix + upper}
	if flag.Tag.Has("bazel") {
		suffix := flag.Tag.Get("bazel")
		if suffix == "" {
			suffix = upper
		}
		names = append(names, bazelPrefix+suffix)
	}
	return names
}

// readEnvironment returns the settings made in the environment by flag name.
// An empty variable counts as not set. A variable with one of our prefixes
// that names no setting is an error.
func readEnvironment(environ []string, flags []*kong.Flag) (map[string]given, error) {
	values := map[string]string{}
	for _, assignment := range environ {
		name, value, _ := strings.Cut(assignment, "=")
		ours := strings.HasPrefix(name, larderPrefix) || strings.HasPrefix(name, bazelPrefix)
		if ours && value != "" && !isServiceLink(name, value) {
			values[name] = value
		}
	}
	found := map[string]given{}
	known := map[string]bool{}
	for _, flag := range flags {
		for _, name := range variables(flag) {
			known[name] = true
			value, set := values[name]
			if _, earlier := found[flag.Name]; set && !earlier {
				found[flag.Name] = given{text: value, origin: origin{kind: fromEnv, name: name}}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !known[name] {
			return nil, fmt.Errorf("environment variable %s (%q) names no setting%s: correct or unset it", name, values[name], didYouMean(name, slices.Collect(maps.Keys(known))))
		}
	}
	return found, nil
}

// isServiceLink tells whether the variable is one of those that Kubernetes and
// Docker set for a service called larder or bazel-remote. They are none of the
// user's doing and look like settings: BAZEL_REMOTE_PORT=tcp://10.0.0.1:8080.
func isServiceLink(name, value string) bool {
	link := regexp.MustCompile(`^(LARDER|BAZEL_REMOTE)(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	if link.MatchString(name) {
		return true
	}
	scheme, _, isURL := strings.Cut(value, "://")
	return strings.HasSuffix(name, "_PORT") && isURL && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
}
