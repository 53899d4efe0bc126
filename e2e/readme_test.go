package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-build/larder/internal/testenv"
)

// A block of shell in README.md is run here if the line before it is
//
//	<!-- readme-test: KIND -->
//
// with one of these kinds.
const (
	serverBlock     = "server"     // runs in the background until the end
	clientBlock     = "client"     // runs when the server answers; all client blocks are one script
	standaloneBlock = "standalone" // runs by itself
)

// TestReadme pastes README.md's blocks into a shell, as they stand, in a
// checkout with a home folder of its own. So it needs the ports that the
// README names.
func TestReadme(t *testing.T) {
	testenv.NeedsProcesses(t)
	blocks := readmeBlocks(t)
	// It is compiled here, not in the background while a deadline runs.
	grpcurl(t, "-version")
	shell := newShell(t)

	for _, script := range blocks[standaloneBlock] {
		t.Logf("%s", shell.run(t, script))
	}
	if len(blocks[serverBlock]) != 1 || len(blocks[clientBlock]) == 0 {
		t.Fatalf("README.md has %d server blocks and %d client blocks, want one and some", len(blocks[serverBlock]), len(blocks[clientBlock]))
	}
	shell.background(t, blocks[serverBlock][0])
	out := shell.run(t, strings.Join(blocks[clientBlock], "\n"))
	t.Logf("%s", out)
	for _, want := range []string{
		"build.bazel.remote.execution.v2.ContentAddressableStorage", // the list
		`"SHA256"`,       // capabilities
		"aGVsbG8=",       // the blob over gRPC
		"hello",          // and over HTTP
		"larder_store",   // a metric
		`"logicalBytes"`, // the store's status
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what the client blocks print", want)
		}
	}
}

// readmeBlocks returns the marked blocks by kind.
func readmeBlocks(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(map[string][]string)
	for _, part := range strings.Split(string(text), "<!-- readme-test: ")[1:] {
		kind, rest, ok := strings.Cut(part, " -->\n```sh\n")
		script, _, closed := strings.Cut(rest, "\n```")
		if !ok || !closed {
			t.Fatalf("README.md: the mark %.20q is not followed by a block of sh", part)
		}
		if kind != serverBlock && kind != clientBlock && kind != standaloneBlock {
			t.Fatalf("README.md: unknown mark %q", kind)
		}
		blocks[kind] = append(blocks[kind], script)
	}
	return blocks
}

// shell is where a newcomer pastes.
type shell struct {
	dir string
	env []string
}

// newShell has an empty home, but Go's caches as they are: what is tested is
// the README, not the module proxy.
func newShell(t *testing.T) shell {
	t.Helper()
	env := append(testenv.Environ(), "HOME="+t.TempDir(), "XDG_CACHE_HOME=")
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return shell{testenv.Root(t), env}
}

func (s shell) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -eo pipefail\n"+script)
	cmd.Dir, cmd.Env = s.dir, s.env
	// "go run" starts the program as a child, which must end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// run returns what the script prints.
func (s shell) run(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := s.command(ctx, script).CombinedOutput()
	if err != nil {
		t.Fatalf("README.md:\n%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// background starts the server block and returns when the server answers. At
// the end of the test it interrupts it, as Ctrl-C does.
func (s shell) background(t *testing.T, script string) {
	t.Helper()
	const grpc, http = "127.0.0.1:9092", "127.0.0.1:8080"
	for _, address := range []string{grpc, http} {
		if testenv.Answers(t.Context(), address) {
			t.Fatalf("something listens on %s already, which README.md's server needs: stop it first", address)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.command(ctx, script)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		defer log.Close()
		defer cancel()
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Errorf("interrupting the server: %v", err)
		}
		select {
		case <-exited:
		case <-time.After(time.Minute):
			t.Errorf("the server runs a minute after it was interrupted")
		}
	})
	if err := awaitAnswers(t.Context(), exited, grpc, http); err != nil {
		text, readErr := os.ReadFile(log.Name())
		t.Fatalf("README.md's server: %v\n%s%v", err, text, readErr)
	}
}

var errEnded = errors.New("its program ended")

// awaitAnswers waits until something listens on all addresses.
func awaitAnswers(ctx context.Context, exited <-chan error, addresses ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for _, address := range addresses {
		for !testenv.Answers(ctx, address) {
			select {
			case err := <-exited:
				return fmt.Errorf("it left: %w", cmp.Or(err, errEnded))
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", address, ctx.Err())
			case <-ticker.C:
			}
		}
	}
	return nil
}
