package main

import (
	"io"
	"net/http"
	"strconv"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
)

// newHTTPHandler serves /cas/<hash> and /ac/<hash> from the same store.
func newHTTPHandler(s *store) http.Handler {
	h := httpServer{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cas/{hash}", h.getBlob)
	mux.HandleFunc("PUT /cas/{hash}", h.putBlob)
	mux.HandleFunc("GET /ac/{hash}", h.getAction)
	mux.HandleFunc("PUT /ac/{hash}", h.putAction)
	return mux
}

type httpServer struct {
	store *store
}

func (h httpServer) getBlob(w http.ResponseWriter, r *http.Request) {
	b, ok := h.store.getHash(r.PathValue("hash"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	reply(w, b.data)
}

func (h httpServer) putBlob(w http.ResponseWriter, r *http.Request) {
	data, ok := body(w, r)
	if !ok {
		return
	}
	hash := r.PathValue("hash")
	if err := verify(&repb.Digest{Hash: hash, SizeBytes: int64(len(data))}, data); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.store.put(hash, blob{data: data})
}

func (h httpServer) getAction(w http.ResponseWriter, r *http.Request) {
	result, ok := h.store.getAction(actionKey{hash: r.PathValue("hash")})
	if !ok {
		http.NotFound(w, r)
		return
	}
	data, err := proto.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, data)
}

func (h httpServer) putAction(w http.ResponseWriter, r *http.Request) {
	data, ok := body(w, r)
	if !ok {
		return
	}
	key := actionKey{hash: r.PathValue("hash")}
	result := &repb.ActionResult{}
	err := proto.Unmarshal(data, result)
	if err == nil {
		err = checkDigest(&repb.Digest{Hash: key.hash})
	}
	if err == nil {
		err = checkResult(result)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.store.putAction(key, result)
}

func reply(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // a client that went away is its own loss
}

// body reads the request's content. When it answers false it has replied.
func body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.ContentLength < 0 || r.ContentLength > maxBlobBytes {
		http.Error(w, "Content-Length is missing or too large", http.StatusBadRequest)
		return nil, false
	}
	data := make([]byte, min(r.ContentLength, maxBlobBytes))
	if _, err := io.ReadFull(r.Body, data); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, false
	}
	return data, true
}
