// Package adminpb is the generated code of larder.admin.v1, the API through which
// operators ask a running server about itself. Its definition is admin.proto
// beside it; "go generate ./protos" writes the rest of this directory.
package adminpb
