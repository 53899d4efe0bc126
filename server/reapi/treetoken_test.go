package reapi

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
)

func TestTreeToken(t *testing.T) {
	t.Parallel()
	root := digest.Of(digest.SHA512, []byte("root"))
	deep := make([]int, merkle.MaxDepth+1)
	for i := range deep {
		deep[i] = merkle.MaxPending
	}
	for _, path := range [][]int{{1}, {1, 0}, {1, 300, 70000}, deep} {
		token := treeToken(root, path)
		if got, err := parseTreeToken(token, root); err != nil || !slices.Equal(got, path) {
			t.Errorf("path of %d levels came back as %d levels, %v", len(path), len(got), err)
		}
	}
}

func TestTreeTokenRefuses(t *testing.T) {
	t.Parallel()
	root := digest.Of(digest.SHA256, []byte("root"))
	token := treeToken(root, []int{1, 2})
	swapped := strings.ToLower(token)
	if swapped == token {
		t.Fatal("bad test token")
	}
	for name, bad := range map[string]string{
		"text":           "next",
		"padding":        token + "=",
		"cut":            token[:len(token)-2],
		"mistyped":       swapped,
		"empty":          base64.RawURLEncoding.EncodeToString(make([]byte, 4)),
		"zeros":          base64.RawURLEncoding.EncodeToString(make([]byte, 50)),
		"long":           strings.Repeat("A", maxTreeToken+1),
		"other tree":     treeToken(digest.Of(digest.SHA256, []byte("other")), []int{1}),
		"other function": treeToken(digest.Of(digest.BLAKE3, []byte("root")), []int{1}),
	} {
		if path, err := parseTreeToken(bad, root); err == nil {
			t.Errorf("%s: token was taken, for the path %v", name, path)
		}
	}
}

func FuzzTreeToken(f *testing.F) {
	root := digest.Of(digest.SHA256, []byte("root"))
	f.Add(treeToken(root, []int{1, 2, 3}))
	f.Add("AAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		path, err := parseTreeToken(token, root)
		if err != nil {
			return
		}
		if again, err := parseTreeToken(treeToken(root, path), root); err != nil || !slices.Equal(again, path) {
			t.Fatalf("%v became %v, %v", path, again, err)
		}
	})
}
