package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/testenv"
)

// TestGrpcurl asks the server by hand, once with its own reflection and once
// with the protoset that comes with the project.
func TestGrpcurl(t *testing.T) {
	testenv.NeedsProcesses(t)
	const reapi = "build.bazel.remote.execution.v2."
	server := larder.Start(t, testenv.Options{})
	for _, source := range []struct {
		name string
		args []string
	}{
		{"reflection", nil},
		{"protoset", []string{"-protoset", filepath.Join(testenv.Root(t), "protos", "reapi.protoset")}},
	} {
		for _, tc := range []struct {
			name, data, method, want string
		}{
			{"capabilities", `{}`, reapi + "Capabilities/GetCapabilities", `"SHA256"`},
			{"update", `{"requests": [{"digest": {"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "size_bytes": 5}, "data": "aGVsbG8="}]}`,
				reapi + "ContentAddressableStorage/BatchUpdateBlobs", `"status": {}`},
			{"read", `{"digests": [{"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "size_bytes": 5}]}`,
				reapi + "ContentAddressableStorage/BatchReadBlobs", `"data": "aGVsbG8="`},
			{"stream", `{"resource_name": "blobs/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824/5"}`,
				"google.bytestream.ByteStream/Read", `"data": "aGVsbG8="`},
			{"missing", `{"blob_digests": [{"hash": "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7", "size_bytes": 5}]}`,
				reapi + "ContentAddressableStorage/FindMissingBlobs", `"486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"`},
		} {
			t.Run(source.name+" "+tc.name, func(t *testing.T) {
				args := append([]string{"-plaintext", "-d", tc.data}, source.args...)
				if out := grpcurl(t, append(args, server.GRPC, tc.method)...); !strings.Contains(out, tc.want) {
					t.Errorf("answer is %s, want %s in it", out, tc.want)
				}
			})
		}
	}
	t.Run("list", func(t *testing.T) {
		services := strings.Fields(grpcurl(t, "-plaintext", server.GRPC, "list"))
		for _, want := range []string{
			reapi + "ActionCache", reapi + "Capabilities", reapi + "ContentAddressableStorage",
			"google.bytestream.ByteStream", "grpc.health.v1.Health", "larder.admin.v1.Admin",
		} {
			if !strings.Contains(strings.Join(services, "\n")+"\n", want+"\n") {
				t.Errorf("%s is not among the services %v", want, services)
			}
		}
	})
	t.Run("health", func(t *testing.T) {
		if out := grpcurl(t, "-plaintext", server.GRPC, "grpc.health.v1.Health/Check"); !strings.Contains(out, `"SERVING"`) {
			t.Errorf("health is %s", out)
		}
	})
}

func grpcurl(t *testing.T, args ...string) string {
	t.Helper()
	command := append(testenv.GoTool(t, "grpcurl"), args...)
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("grpcurl %q: %v\n%s", args, err, out)
	}
	return string(out)
}
