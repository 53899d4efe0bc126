package merkle

import (
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/larder-build/larder/internal/digest"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	files := func(names ...string) *repb.Directory {
		d := &repb.Directory{}
		for _, n := range names {
			d.Files = append(d.Files, &repb.FileNode{Name: n, Digest: pbDigest(n)})
		}
		return d
	}
	with := func(d *repb.Directory, dir string, link ...string) *repb.Directory {
		if dir != "" {
			d.Directories = []*repb.DirectoryNode{{Name: dir, Digest: pbDigest(dir)}}
		}
		if link != nil {
			d.Symlinks = []*repb.SymlinkNode{{Name: link[0], Target: link[1]}}
		}
		return d
	}
	for name, tt := range map[string]struct {
		dir  *repb.Directory
		want string
	}{
		"empty":             {files(), ""},
		"all kinds":         {with(files("a", "b"), "c", "d", "../e"), ""},
		"absolute target":   {with(files(), "", "d", "/e"), ""},
		"unsorted":          {files("b", "a"), ""},
		"slash":             {files("a/b"), `files[0].name "a/b": must be one path segment`},
		"up":                {with(files(), ".."), `directories[0].name "..": must not be "." or ".."`},
		"here":              {with(files(), "", ".", "x"), `symlinks[0].name ".": must not be "." or ".."`},
		"no name":           {files("a", ""), "files[1].name: must not be empty"},
		"file twice":        {files("a", "b", "a"), `.name "a": is used twice`},
		"file and dir":      {with(files("a"), "a"), `.name "a": is used twice`},
		"file and symlink":  {with(files("a"), "", "a", "x"), `.name "a": is used twice`},
		"no target":         {with(files(), "", "a", ""), `symlinks[0].target "a": must not be empty`},
		"no file digest":    {&repb.Directory{Files: []*repb.FileNode{{Name: "a"}}}, `files[0].digest "a": must be set`},
		"bad file digest":   {&repb.Directory{Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: "zz"}}}}, `files[0].digest: digest hash "zz"`},
		"no subdir digest":  {&repb.Directory{Directories: []*repb.DirectoryNode{{Name: "a"}}}, `directories[0].digest "a": must be set`},
		"bad subdir digest": {&repb.Directory{Directories: []*repb.DirectoryNode{{Name: "a", Digest: &repb.Digest{Hash: "zz"}}}}, `directories[0].digest: digest hash`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d Directory
			err := d.Parse(digest.SHA256, marshal(t, tt.dir))
			if err == nil {
				err = d.Validate()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDirectoryMalformed(t *testing.T) {
	t.Parallel()
	var d Directory
	for _, msg := range []string{"\x0a", "\x0a\x05ab", "\x0a\x02\x0a\x05", "\x00", "garbage", "\x0a\x03\x0a\x01\xff"} {
		if err := d.Parse(digest.SHA256, []byte(msg)); err == nil {
			t.Errorf("Parse(%q) succeeded: %+v", msg, d)
		}
	}
}
