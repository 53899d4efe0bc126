package reapi_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
)

var (
	ruleRow  = regexp.MustCompile(`(?m)^\| (\d+) \| (✔|–) \|`)
	ruleTest = regexp.MustCompile(`(?m)^func TestRule0*(\d+)_\w+\(t \*testing\.T\)`)
)

// TestEveryRuleHasATest holds docs/protocol.md against the names of this
// package's tests, which all go over a real connection.
func TestEveryRuleHasATest(t *testing.T) {
	t.Parallel()
	tested := make(map[int]bool)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, n := range ruleNumbers(t, file, ruleTest) {
			tested[n] = true
		}
	}
	page := filepath.Join("..", "..", "docs", "protocol.md")
	for _, n := range ruleNumbers(t, page, ruleRow) {
		if !tested[n] {
			t.Errorf("rule %d is marked as kept in docs/protocol.md, and no test here is called TestRule%02d_...", n, n)
		}
		delete(tested, n)
	}
	for n := range tested {
		t.Errorf("TestRule%02d_... tests a rule that docs/protocol.md does not mark as kept", n)
	}
}

// ruleNumbers returns the numbers that the expression finds, those of rows
// without a mark left out.
func ruleNumbers(t *testing.T, path string, expr *regexp.Regexp) (numbers []int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range expr.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(m[len(m)-1], "–") {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// What a name may be long is what a store can keep.
func TestInstanceNamesFitTheStore(t *testing.T) {
	t.Parallel()
	if resourcename.MaxInstanceLen != blobstore.MaxInstanceLen {
		t.Errorf("names may have %d bytes, stores take %d", resourcename.MaxInstanceLen, blobstore.MaxInstanceLen)
	}
}
