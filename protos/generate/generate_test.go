package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	_ "github.com/larder-build/larder/protos/larder/admin/v1" // registers its descriptors
)

// TestDescriptorsAreCurrent compares the .proto files with what the generated
// code says they were.
func TestDescriptorsAreCurrent(t *testing.T) {
	t.Parallel()
	descriptors, err := compile(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		linked, err := protoregistry.GlobalFiles.FindFileByPath(d.GetName())
		if err != nil {
			t.Errorf("%s has no generated code: run go generate ./protos", d.GetName())
			continue
		}
		d.SourceCodeInfo = nil
		if diff := cmp.Diff(d, protodesc.ToFileDescriptorProto(linked), protocmp.Transform()); diff != "" {
			t.Errorf("%s is not what its generated code says: run go generate ./protos\n%s", d.GetName(), diff)
		}
	}
}

// TestGeneratedCodeIsCurrent generates the code again, with the pinned plugins.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugins, whose modules may have to be fetched")
	}
	t.Parallel()
	fresh := t.TempDir()
	if err := generate(t.Context(), "..", fresh); err != nil {
		t.Fatal(err)
	}
	count := 0
	err := filepath.WalkDir(fresh, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		count++
		name, err := filepath.Rel(fresh, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("protos/%s is not what the plugins write now (%v): run go generate ./protos", name, err)
		}
		return nil
	})
	if err != nil || count != len(files)*len(plugins) {
		t.Errorf("%d files were generated, want %d: %v", count, len(files)*len(plugins), err)
	}
}
