package e2e

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/rules.bzl
var rules string

// newWorkspace writes a Bazel workspace of that many actions, a multiple of 10,
// and returns its folder. Of ten actions four make a small file, two a file
// from another's output, one an empty file and a symlink to it, one a folder,
// one a program, and one runs such a program. One file in the workspace has
// several MB.
func newWorkspace(t *testing.T, actions int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "workspace")
	var build strings.Builder
	build.WriteString(`load(":rules.bzl", "program", "tree")` + "\n")
	for tens := range actions / 10 {
		writeTen(&build, tens)
	}
	for name, text := range map[string]string{
		"WORKSPACE":    "",
		"MODULE.bazel": `module(name = "e2e")` + "\n",
		"rules.bzl":    rules,
		"BUILD.bazel":  build.String(),
		"input.txt":    "an input file\n",
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeTen(build *strings.Builder, n int) {
	genrule := func(name, rest string) { fmt.Fprintf(build, "genrule(name = %q, %s)\n", name, rest) }
	for i := range 4 {
		cmd := fmt.Sprintf("echo small %d %d > $@", n, i)
		if n == 0 && i == 0 {
			cmd = "seq 1 900000 > $@"
		}
		genrule(fmt.Sprintf("small_%d_%d", n, i), fmt.Sprintf(`outs = ["small_%d_%d.txt"], srcs = ["input.txt"], cmd = %q`, n, i, cmd))
	}
	for i := range 2 {
		genrule(fmt.Sprintf("from_%d_%d", n, i), fmt.Sprintf(
			`outs = ["from_%d_%d.txt"], srcs = ["small_%d_%d.txt"], cmd = "echo said %d %d; (tail -n 3 $<; echo more) > $@"`, n, i, n, i, n, i))
	}
	genrule(fmt.Sprintf("empty_%d", n), fmt.Sprintf(
		`outs = ["empty_%d", "link_%d"], cmd = ": > $(location empty_%d); ln -s empty_%d $(location link_%d) # %d"`, n, n, n, n, n, n))
	fmt.Fprintf(build, "tree(name = \"tree_%d\", number = %d, srcs = [\"input.txt\", \"from_%d_0.txt\"])\n", n, n, n)
	fmt.Fprintf(build, "program(name = \"program_%d\", number = %d)\n", n, n)
	genrule(fmt.Sprintf("run_%d", n), fmt.Sprintf(
		`outs = ["run_%d.txt"], srcs = ["program_%d", "tree_%d"], cmd = "($(location program_%d); find -L $(location tree_%d) | sort | wc -l; $(location tree_%d)/nested/run.sh) > $@"`, n, n, n, n, n, n))
}

// outputs describes every file below the workspace's bazel-bin: its content,
// whether it is a program, and, for a symlink, what is there. A file that
// Bazel has not fetched is not in it.
func outputs(t *testing.T, workspace string) map[string]string {
	t.Helper()
	bin, err := filepath.EvalSymlinks(filepath.Join(workspace, "bazel-bin"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	err = filepath.WalkDir(bin, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(bin, path)
		if err != nil {
			return err
		}
		found[name], err = describe(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func describe(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%d bytes, program %t, %s", len(text), info.Mode()&0o100 != 0, hex.EncodeToString(sum[:8])), nil
}
