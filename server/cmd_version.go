package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/larder-build/larder/server/httpcache"
)

// cmdVersion prints the version.
func cmdVersion(sys system) error {
	_, err := fmt.Fprintf(sys.stdout, "larder %s %s %s/%s\n", readVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is what the Go tool recorded about this binary.
type version struct {
	module   string // v1.2.3, or (devel)
	revision string // the commit, if known
	modified bool   // there were changes on top of it
}

func readVersion() version {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version{module: "(unknown)"}
	}
	v := version{module: info.Main.Version}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.revision = s.Value
		case "vcs.modified":
			v.modified = s.Value == "true"
		}
	}
	return v
}

// String returns the module's version, which already tells the commit where it
// is not a release, or what else is known.
func (v version) String() string {
	if v.module != "" && v.module != "(devel)" {
		return v.module
	}
	s := "(devel)"
	if v.revision != "" {
		s += " " + v.revision
	}
	if v.modified {
		s += " modified"
	}
	return s
}

// build is the version as /status tells it.
func (v version) build() httpcache.Build {
	b := httpcache.Build{Version: v.String(), GitCommit: v.revision}
	if v.module != "(devel)" {
		b.GitTags = v.module
	}
	return b
}
