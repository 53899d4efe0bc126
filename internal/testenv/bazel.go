package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bazel is one Bazel with a workspace and state of its own.
type Bazel struct {
	// Workspace is the folder it builds.
	Workspace string

	program string
	state   string // output_user_root: all that Bazel remembers
	startup []string
}

// bazelWithin bounds one command of Bazel, its start included.
const bazelWithin = 10 * time.Minute

// idleSeconds is how long a Bazel server outlives a test that was killed.
const idleSeconds = 120

// NewBazel returns a Bazel that runs on this machine, installed by
// scripts/install-bazel.sh if there was none, for that workspace. Startup
// options go before the command, as --digest_function does. Its server is shut
// down and its state removed at the end of the test.
func NewBazel(tb testing.TB, workspace string, startup ...string) *Bazel {
	tb.Helper()
	return newBazel(tb, script(tb, "install-bazel.sh"), workspace, startup)
}

// NewOldBazel returns a Bazel 2.1.0, which names no digest function in its
// requests.
func NewOldBazel(tb testing.TB, workspace string) *Bazel {
	tb.Helper()
	return newBazel(tb, script(tb, "install-old-bazel.sh"), workspace, nil)
}

func newBazel(tb testing.TB, program, workspace string, startup []string) *Bazel {
	tb.Helper()
	b := &Bazel{Workspace: workspace, program: program, startup: startup}
	tb.Cleanup(func() { b.forget(tb) })
	return b
}

// ForgetEverything makes the next build start from nothing local: the server
// is shut down and its whole state removed.
func (b *Bazel) ForgetEverything(tb testing.TB) {
	tb.Helper()
	b.forget(tb)
}

func (b *Bazel) forget(tb testing.TB) {
	tb.Helper()
	if b.state == "" {
		return
	}
	// The test's own context is cancelled by the time of its clean-up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	if out, err := b.command(ctx, "shutdown").CombinedOutput(); err != nil {
		tb.Errorf("bazel shutdown: %v\n%s", err, out)
	}
	removeAll(tb, b.state)
	b.state = ""
}

// removeAll removes a tree in which Bazel has made folders read-only.
func removeAll(tb testing.TB, dir string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		tb.Errorf("removing Bazel's state: %v", err)
	}
}

// Clean removes what was built and what Bazel knows of it, and keeps the
// server, which saves the seconds that one needs to start.
func (b *Bazel) Clean(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), bazelWithin)
	defer cancel()
	if out, err := b.command(ctx, "clean").CombinedOutput(); err != nil {
		tb.Fatalf("bazel clean: %v\n%s", err, out)
	}
}

// command returns bazel with the startup options before the arguments.
func (b *Bazel) command(ctx context.Context, args ...string) *exec.Cmd {
	startup := append([]string{
		"--output_user_root=" + b.state, "--nohome_rc", "--noworkspace_rc",
		"--max_idle_secs=" + strconv.Itoa(idleSeconds),
	}, b.startup...)
	cmd := exec.CommandContext(ctx, b.program, append(startup, args...)...)
	cmd.Dir = b.Workspace
	return cmd
}

// Build is what one build told of itself.
type Build struct {
	// Output is what Bazel printed.
	Output string
	// Processes counts the actions by the way they were run, as in the summary
	// that Bazel prints: "remote cache hit", "linux-sandbox", "internal" …
	Processes map[string]int
	// Runners is the same from the build event file; nil where that Bazel is
	// too old to tell.
	Runners map[string]int
}

// Local counts the actions that ran on this machine.
func (b Build) Local() int { return ran(b.Processes) }

// LocalRunners counts the same from the build event file.
func (b Build) LocalRunners() int { return ran(b.Runners) }

// RemoteHits counts the actions whose results came from the cache.
func (b Build) RemoteHits() int { return b.Processes["remote cache hit"] }

// ran counts all that is neither a hit nor Bazel's own bookkeeping, so that a
// way of running that is not known here counts as one.
func ran(processes map[string]int) int {
	n := 0
	for name, count := range processes {
		if name != "remote cache hit" && name != "internal" && name != "total" {
			n += count
		}
	}
	return n
}

// Build builds everything in the workspace and fails the test if Bazel fails,
// or says that it could not use the cache: its exit code alone would not tell.
func (b *Bazel) Build(tb testing.TB, flags ...string) Build {
	tb.Helper()
	if b.state == "" {
		state, err := os.MkdirTemp("", "larder-bazel-")
		if err != nil {
			tb.Fatal(err)
		}
		b.state = state
	}
	events := filepath.Join(b.state, "events.json")
	ctx, cancel := context.WithTimeout(tb.Context(), bazelWithin)
	defer cancel()
	args := append([]string{"build", "--color=no", "--curses=no", "--show_progress_rate_limit=60", "--build_event_json_file=" + events}, flags...)
	cmd := b.command(ctx, append(args, "//...")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("%v: %v\n%s", cmd.Args, err, tail(string(out), 16<<10))
	}
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("WARNING: ")) && bytes.Contains(bytes.ToLower(line), []byte("remote cache")) {
			tb.Errorf("bazel did not get on with the cache: %s", line)
		}
	}
	build := Build{Output: string(out), Processes: parseSummary(string(out))}
	if build.Processes == nil {
		tb.Fatalf("bazel printed no summary of processes:\n%s", tail(build.Output, 16<<10))
	}
	if build.Runners, err = parseRunners(events); err != nil {
		tb.Fatal(err)
	}
	return build
}

// parseSummary reads "INFO: 330 processes: 14 internal, 316 linux-sandbox.".
func parseSummary(output string) map[string]int {
	line := regexp.MustCompile(`(?m)^INFO: \d+ process(?:es)?: (.*)\.$`).FindStringSubmatch(output)
	if line == nil {
		return nil
	}
	counts := make(map[string]int)
	for part := range strings.SplitSeq(line[1], ", ") {
		number, name, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil
		}
		counts[name] = n
	}
	return counts
}

// parseRunners reads the counts of the buildMetrics event.
func parseRunners(path string) (map[string]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var counts map[string]int
	for line := range bytes.Lines(text) {
		var event struct {
			BuildMetrics struct {
				ActionSummary struct {
					RunnerCount []struct {
						Name  string
						Count int
					}
				}
			}
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("%s: %w in %q", path, err, line)
		}
		for _, r := range event.BuildMetrics.ActionSummary.RunnerCount {
			if counts == nil {
				counts = make(map[string]int)
			}
			counts[r.Name] = r.Count
		}
	}
	return counts, nil
}
