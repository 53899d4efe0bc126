package main

import (
	"fmt"
	"strconv"
	"strings"
)

// contender is a server to measure: one to start, or one that runs.
type contender struct {
	name string
	// program and flags start the server; program is "" for one that runs.
	program string
	flags   []string
	// store says that the program keeps its blobs below --dir.
	store bool
	// The rest is known beforehand only of a server that runs.
	pid                      int
	grpcAddress, httpAddress string
}

// parseRunning reads the value of --server: "name=grpc_address,pid" and
// perhaps ",http_address".
func parseRunning(value string) (contender, error) {
	name, rest, ok := strings.Cut(value, "=")
	parts := strings.Split(rest, ",")
	if !ok || name == "" || len(parts) < 2 || len(parts) > 3 {
		return contender{}, fmt.Errorf("--server=%s: want name=grpc_address,pid or name=grpc_address,pid,http_address", value)
	}
	c := contender{name: name, grpcAddress: parts[0]}
	var err error
	if c.pid, err = strconv.Atoi(parts[1]); err != nil || c.pid <= 0 {
		return contender{}, fmt.Errorf("--server=%s: %q is no process id", value, parts[1])
	}
	if len(parts) == 3 {
		c.httpAddress = parts[2]
	}
	return c, nil
}

// parseVariant reads the value of --variant: "name=words", where the words are
// flags for larder, after another program if the first is no flag. The
// contender's program is "" where it is the larder of this tree.
func parseVariant(value string) (contender, error) {
	name, rest, ok := strings.Cut(value, "=")
	words := strings.Fields(rest)
	if !ok || name == "" || len(words) == 0 {
		return contender{}, fmt.Errorf("--variant=%s: want name=[program] flags", value)
	}
	c := contender{name: name, flags: words, store: true}
	if !strings.HasPrefix(words[0], "-") {
		c.program, c.flags = words[0], words[1:]
	}
	return c, nil
}

// distinct gives servers of one name numbers, so that a server can be compared
// with itself.
func distinct(all []contender) {
	seen := make(map[string]int)
	for i, c := range all {
		if seen[c.name]++; seen[c.name] > 1 {
			all[i].name = fmt.Sprintf("%s#%d", c.name, seen[c.name])
		}
	}
}
