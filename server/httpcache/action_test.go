package httpcache

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

const jsonAccepted, jsonSent = "Accept: application/json", "Content-Type: application/json"

func message(d digest.Digest) *repb.Digest {
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}

// result returns an action result with one output file.
func result(fn digest.Function, output []byte) *repb.ActionResult {
	return &repb.ActionResult{
		OutputFiles:  []*repb.OutputFile{{Path: "out/file", Digest: message(digest.Of(fn, output)), IsExecutable: true}},
		StdoutDigest: message(digest.Empty(fn)),
		ExecutionMetadata: &repb.ExecutedActionMetadata{
			Worker: strings.Repeat("w", 2000), // long enough to be compressed
		},
	}
}

func serialize(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func actionPath(d digest.Digest) string { return "/ac/" + d.Hex() }

func (e *env) wantResult(a answer, want *repb.ActionResult) {
	e.t.Helper()
	var got repb.ActionResult
	if err := proto.Unmarshal(a.body, &got); err != nil || a.code != http.StatusOK || !proto.Equal(&got, want) {
		e.t.Errorf("status %d, %v: action result %.200v, want %.200v", a.code, err, &got, want)
	}
}

// What Bazel does over HTTP with any digest function: it uploads action and
// outputs, then the result, and names no function anywhere.
func TestActionResults(t *testing.T) {
	t.Parallel()
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3, digest.SHA1, digest.SHA384, digest.SHA512, digest.MD5} {
		for _, uploadsAction := range []bool{true, false} {
			e := start(t, Options{})
			action, output := []byte("the action "+fn.String()), text(5000)
			path := actionPath(digest.Of(fn, action))
			want := result(fn, output)
			e.want(e.get(path), http.StatusNotFound)
			if uploadsAction {
				e.want(e.put(casPath(digest.Of(fn, action)), action), http.StatusOK)
			}
			e.want(e.put(casPath(digest.Of(fn, output)), output), http.StatusOK)
			e.want(e.put(path, serialize(t, want)), http.StatusOK)
			e.wantResult(e.get(path), want)
			e.wantResult(e.get("/ac/"+strings.ToLower(fn.String())+"/"+digest.Of(fn, action).Hex()), want)
			if a := e.do(http.MethodHead, path, nil); a.code != http.StatusOK || a.length != int64(proto.Size(want)) {
				t.Errorf("%v: HEAD: %d, length %d", fn, a.code, a.length)
			}
		}
	}
}

// A result that refers to nothing is of the function of its action.
func TestActionResultWithoutOutputs(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	action := digest.Of(digest.BLAKE3, []byte("action"))
	want := &repb.ActionResult{ExitCode: 3}
	e.want(e.put(casPath(action), []byte("action")), http.StatusOK)
	e.want(e.put(actionPath(action), serialize(t, want)), http.StatusOK)
	e.wantResult(e.get("/ac/blake3/"+action.Hex()), want)
	e.want(e.get("/ac/sha256/"+action.Hex()), http.StatusNotFound)
}

// Rule 22: a result whose outputs are not all there is a miss.
func TestIncompleteActionResult(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	output := text(5000)
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	e.want(e.put(path, serialize(t, result(digest.SHA256, output))), http.StatusOK)
	e.want(e.get(path), http.StatusNotFound, path, "incomplete")
	e.want(e.put(casPath(digest.Of(digest.SHA256, output)), output), http.StatusOK)
	e.wantResult(e.get(path), result(digest.SHA256, output))
}

func TestInvalidActionResult(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	escaping := result(digest.SHA256, nil)
	escaping.OutputFiles[0].Path = "../out"
	wrongHash := result(digest.SHA256, nil)
	wrongHash.OutputFiles[0].Digest.Hash = "short"
	for _, body := range [][]byte{[]byte("an object file"), serialize(t, escaping), serialize(t, wrongHash)} {
		e.want(e.put(path, body), http.StatusBadRequest)
	}
	e.want(e.put(path, serialize(t, escaping)), http.StatusBadRequest, "../out")
	e.want(e.put(path, []byte("{"), jsonSent), http.StatusBadRequest, "JSON")
	e.want(e.put(path, []byte(`{"exitCod": 1}`), jsonSent), http.StatusBadRequest, "exitCod")
	e.want(e.put(path, make([]byte, maxActionBody+1)), http.StatusRequestEntityTooLarge)
	e.want(e.putChunked(path, make([]byte, maxActionBody+1)), http.StatusRequestEntityTooLarge)
	e.want(e.put(path, encoding.AppendCompressed(nil, make([]byte, maxActionBody+1)), "Content-Encoding: zstd"), http.StatusRequestEntityTooLarge)
	e.want(e.put(path, []byte("no zstd"), "Content-Encoding: zstd"), http.StatusBadRequest)
	e.want(e.get(path), http.StatusNotFound)
}

func TestActionResultAsJSON(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	want := result(digest.SHA256, nil)
	body, err := protojson.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	e.want(e.put(path, body, jsonSent+"; charset=utf-8"), http.StatusOK)
	e.wantResult(e.get(path), want)
	a := e.get(path, jsonAccepted)
	var got repb.ActionResult
	if err := protojson.Unmarshal(a.body, &got); err != nil || !proto.Equal(&got, want) || a.header.Get("Content-Type") != jsonType {
		t.Errorf("as JSON: %v, %v, %.200s", err, a.header, a.body)
	}
	if a.header.Get("Vary") != "Accept, Accept-Encoding" {
		t.Errorf("Vary %q", a.header.Get("Vary"))
	}
	if plain := e.get(path); plain.header.Get("Etag") == a.header.Get("Etag") {
		t.Error("JSON and protobuf have one entity tag")
	}
	e.want(e.get(path, jsonAccepted, "If-None-Match: "+a.header.Get("Etag")), http.StatusNotModified)
}

func TestActionResultAsZstd(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	want := result(digest.SHA256, nil)
	body := serialize(t, want)
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	e.want(e.put(path, encoding.AppendCompressed(nil, body), "Content-Encoding: zstd"), http.StatusOK)
	e.wantResult(e.get(path), want)
	a := e.get(path, "Accept-Encoding: zstd")
	if got := e.decode(a.body, len(body)); !bytes.Equal(got, body) || a.header.Get("Content-Encoding") != "zstd" {
		t.Errorf("as zstd: %v", a.header)
	}
	e.want(e.put(path, encoding.AppendCompressed(nil, body), "Content-Encoding: zstd", sizeHeader+": 7"), http.StatusBadRequest, sizeHeader)
}

// An empty body is an action result with nothing in it, and comes back with
// something in it (rule 25).
func TestEmptyActionResult(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	e.want(e.put(path, nil), http.StatusOK)
	if a := e.get(path); a.code != http.StatusOK || len(a.body) == 0 {
		t.Errorf("status %d, %d bytes", a.code, len(a.body))
	}
}

func TestInstancesIsolateActionResults(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	want := result(digest.SHA256, nil)
	path := actionPath(digest.Of(digest.SHA256, []byte("action")))
	e.want(e.put("/a/b"+path, serialize(t, want)), http.StatusOK)
	e.wantResult(e.get("/a/b"+path), want)
	e.want(e.get(path), http.StatusNotFound)
	e.want(e.get("/a"+path), http.StatusNotFound)

	shared := start(t, Options{Namespace: blobstore.Namespace{ShareAC: true, IsolateCAS: true}})
	shared.want(shared.put("/a/b"+path, serialize(t, want)), http.StatusOK)
	shared.wantResult(shared.get(path), want)
	d := digest.Of(digest.SHA256, []byte("mine"))
	shared.want(shared.put("/a"+casPath(d), []byte("mine")), http.StatusOK)
	shared.want(shared.get("/b"+casPath(d)), http.StatusNotFound)
	shared.want(shared.get("/a"+casPath(d)), http.StatusOK)
}

// Compiler caches keep what they like under /ac.
func TestOpaqueActionResults(t *testing.T) {
	t.Parallel()
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Options{SkipACValidation: true})
			path := actionPath(digest.Of(digest.SHA256, []byte("action")))
			first, second := noise(size), text(size)
			e.want(e.get(path), http.StatusNotFound)
			for _, body := range [][]byte{first, second} {
				e.want(e.put(path, body), http.StatusOK)
				a := e.get(path)
				e.wantBody(a, http.StatusOK, body)
				if a.header.Get("Etag") != "" || a.header.Get(sizeHeader) != "" {
					t.Errorf("an opaque result, which can change, has headers %v", a.header)
				}
			}
			e.want(e.putChunked(path, first), http.StatusOK)
			e.wantBody(e.get(path, "Range: bytes=0-0"), http.StatusOK, first)
			e.want(e.put(path, encoding.AppendCompressed(nil, second), "Content-Encoding: zstd"), http.StatusOK)
			e.wantBody(e.get(path), http.StatusOK, second)
			e.want(e.get(casPath(digest.Of(digest.SHA256, []byte("action")))), http.StatusNotFound)
		})
	}
}
