package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/larder-build/larder/internal/testenv"
)

const (
	manyActions = 300
	someActions = 40
)

// TestBazel builds a workspace twice, with nothing local left in between, and
// expects that the second build ran nothing.
func TestBazel(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name    string
		actions int
		http    bool
		startup []string
		flags   []string
		// again are flags of the second build only.
		again []string
		// kill ends the server with -9 between the builds.
		kill bool
	}{
		{name: "grpc", actions: manyActions},
		{name: "grpc killed between", actions: someActions, kill: true},
		{name: "http", actions: someActions, http: true},
		{name: "http killed between", actions: someActions, http: true, kill: true},
		{name: "compression", actions: someActions, flags: []string{"--remote_cache_compression"}},
		{name: "plain then compression", actions: someActions, again: []string{"--remote_cache_compression"}},
		{name: "compression then plain", actions: someActions, flags: []string{"--remote_cache_compression"}, again: []string{"--noremote_cache_compression"}},
		{name: "instance", actions: someActions, flags: []string{"--remote_instance_name=foo/bar"}},
		{name: "grpc blake3", actions: someActions, startup: []string{"--digest_function=blake3"}},
		{name: "grpc blake3 compression", actions: someActions, startup: []string{"--digest_function=blake3"}, flags: []string{"--remote_cache_compression"}},
		{name: "grpc sha1", actions: someActions, startup: []string{"--digest_function=sha1"}},
		{name: "http blake3", actions: someActions, http: true, startup: []string{"--digest_function=blake3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := larder.Start(t, testenv.Options{})
			bazel := testenv.NewBazel(t, newWorkspace(t, tc.actions), tc.startup...)
			flags := append([]string{"--remote_cache=" + cacheURL(server, tc.http), "--remote_download_outputs=all"}, tc.flags...)

			first := bazel.Build(t, flags...)
			requireCold(t, first, tc.actions)
			want := outputs(t, bazel.Workspace)

			bazel.ForgetEverything(t)
			if tc.kill {
				server.Kill()
				server.Restart(t)
			}
			requireWarm(t, bazel.Build(t, append(flags, tc.again...)...), tc.actions)
			requireOutputs(t, want, outputs(t, bazel.Workspace))
		})
	}
}

// TestBazelWithoutTheBytes builds twice with
// --remote_download_outputs=minimal, then asks for all outputs.
func TestBazelWithoutTheBytes(t *testing.T) {
	testenv.NeedsProcesses(t)
	server := larder.Start(t, testenv.Options{})
	bazel := testenv.NewBazel(t, newWorkspace(t, someActions))
	cache := "--remote_cache=" + cacheURL(server, false)
	first := bazel.Build(t, cache, "--remote_download_outputs=minimal")
	requireCold(t, first, someActions)
	want := outputs(t, bazel.Workspace)

	bazel.ForgetEverything(t)
	requireWarm(t, bazel.Build(t, cache, "--remote_download_outputs=minimal"), someActions)
	if _, err := os.Stat(filepath.Join(bazel.Workspace, "bazel-bin", "run_0.txt")); !os.IsNotExist(err) {
		t.Errorf("run_0.txt was fetched in spite of minimal: %v", err)
	}

	bazel.Clean(t)
	requireWarm(t, bazel.Build(t, cache, "--remote_download_outputs=all"), someActions)
	requireOutputs(t, want, outputs(t, bazel.Workspace))
}

// TestBazelInstancesAreApart expects that one instance name's action results
// are no hits for another's.
func TestBazelInstancesAreApart(t *testing.T) {
	testenv.NeedsProcesses(t)
	server := larder.Start(t, testenv.Options{})
	bazel := testenv.NewBazel(t, newWorkspace(t, 10))
	cache := "--remote_cache=" + cacheURL(server, false)
	requireCold(t, bazel.Build(t, cache, "--remote_instance_name=one"), 10)
	bazel.Clean(t)
	if other := bazel.Build(t, cache, "--remote_instance_name=two"); other.RemoteHits() != 0 {
		t.Errorf("%d hits in an instance that nobody wrote to", other.RemoteHits())
	}
	bazel.Clean(t)
	requireWarm(t, bazel.Build(t, cache, "--remote_instance_name=one"), 10)
}

// TestBazelAcrossListeners expects that what was written over one protocol is
// read over the other: there is one store.
func TestBazelAcrossListeners(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name         string
		writesByHTTP bool
	}{{"http then grpc", true}, {"grpc then http", false}} {
		t.Run(tc.name, func(t *testing.T) {
			server := larder.Start(t, testenv.Options{})
			bazel := testenv.NewBazel(t, newWorkspace(t, 10))
			requireCold(t, bazel.Build(t, "--remote_cache="+cacheURL(server, tc.writesByHTTP)), 10)
			bazel.Clean(t)
			requireWarm(t, bazel.Build(t, "--remote_cache="+cacheURL(server, !tc.writesByHTTP)), 10)
		})
	}
}

// TestOldBazel does the same with Bazel 2.1.0, which names no digest function.
func TestOldBazel(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name string
		http bool
	}{{"grpc", false}, {"http", true}} {
		t.Run(tc.name, func(t *testing.T) {
			server := larder.Start(t, testenv.Options{})
			bazel := testenv.NewOldBazel(t, newWorkspace(t, someActions))
			cache := "--remote_cache=" + cacheURL(server, tc.http)
			requireCold(t, bazel.Build(t, cache), someActions)
			want := outputs(t, bazel.Workspace)
			bazel.ForgetEverything(t)
			requireWarm(t, bazel.Build(t, cache), someActions)
			requireOutputs(t, want, outputs(t, bazel.Workspace))
		})
	}
}

func cacheURL(server *testenv.Server, http bool) string {
	if http {
		return "http://" + server.HTTP
	}
	return "grpc://" + server.GRPC
}

// requireCold fails the test unless the build ran its actions on this machine:
// else the second build would prove nothing.
func requireCold(t *testing.T, b testenv.Build, actions int) {
	t.Helper()
	if b.Local() != actions || b.RemoteHits() != 0 {
		t.Fatalf("first build: %v, want %d actions run here and no hit\n%s", b.Processes, actions, b.Output)
	}
	if b.Runners != nil && b.LocalRunners() != actions {
		t.Fatalf("first build: its events say %v, want %d actions run here", b.Runners, actions)
	}
}

// requireWarm fails the test unless every action's result came from the cache.
func requireWarm(t *testing.T, b testenv.Build, actions int) {
	t.Helper()
	if b.RemoteHits() != actions || b.Local() != 0 {
		t.Fatalf("second build: %v, want %d remote cache hits and nothing run here\n%s", b.Processes, actions, b.Output)
	}
	if b.Runners != nil && (b.Runners["remote cache hit"] != actions || b.LocalRunners() != 0) {
		t.Fatalf("second build: its events say %v, want %d remote cache hits and nothing run here", b.Runners, actions)
	}
}

// requireOutputs compares what two builds left.
func requireOutputs(t *testing.T, want, got map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("output %s: first build: %q, from the cache: %q", name, want[name], got[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d outputs from the cache, %d built", len(got), len(want))
	}
}
