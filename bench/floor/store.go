package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// blob is one blob's content, and its zstd form if it was uploaded in that.
type blob struct {
	data, zstd []byte
}

// actionKey names an action result.
type actionKey struct {
	instance, hash string
}

// store is the whole state of the server. Its memory is bounded by maxBytes,
// the sum of the blobs' and action results' bytes.
type store struct {
	maxBytes int64

	mu      sync.RWMutex
	blobs   map[string]blob // by hash, in hex
	actions map[actionKey]*repb.ActionResult
	bytes   int64
	oldest  queue
}

func newStore(maxBytes int64) *store {
	s := &store{
		maxBytes: maxBytes,
		blobs:    make(map[string]blob),
		actions:  make(map[actionKey]*repb.ActionResult),
	}
	// The empty blob is always there (rule 1), and is never evicted.
	s.blobs[hashOf(nil)] = blob{}
	return s
}

// verify checks that data is the content the digest names.
func verify(d *repb.Digest, data []byte) error {
	if int64(len(data)) != d.GetSizeBytes() {
		return status.Errorf(codes.InvalidArgument, "content has %d bytes, the digest %s/%d says otherwise", len(data), d.GetHash(), d.GetSizeBytes())
	}
	if got := hashOf(data); got != d.GetHash() {
		return status.Errorf(codes.InvalidArgument, "content has hash %s, not %s", got, d.GetHash())
	}
	return nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkDigest refuses what is no digest of the one function there is.
func checkDigest(d *repb.Digest) error {
	if len(d.GetHash()) != 2*sha256.Size || d.GetSizeBytes() < 0 {
		return status.Errorf(codes.InvalidArgument, "%q/%d is no SHA-256 digest", d.GetHash(), d.GetSizeBytes())
	}
	var bad byte
	for _, c := range []byte(d.GetHash()) {
		bad |= notHex[c]
	}
	if bad != 0 {
		return status.Errorf(codes.InvalidArgument, "%q is not lower-case hex", d.GetHash())
	}
	return nil
}

// notHex is 0 for the lower-case hex digits.
var notHex = func() (t [256]byte) {
	for i := range t {
		if !strings.ContainsRune("0123456789abcdef", rune(i)) {
			t[i] = 1
		}
	}
	return t
}()

// put keeps a verified blob.
func (s *store) put(hash string, b blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[hash]; ok {
		return
	}
	s.blobs[hash] = b
	s.remember(actionKey{hash: hash}, false, int64(len(b.data)+len(b.zstd)))
}

// get returns the blob of that digest.
func (s *store) get(hash string, size int64) (blob, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[hash]
	return b, ok && int64(len(b.data)) == size
}

// getHash returns the blob of that hash, whatever its size.
func (s *store) getHash(hash string) (blob, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[hash]
	return b, ok
}

// missing returns those of the digests that are not there.
func (s *store) missing(digests []*repb.Digest) []*repb.Digest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*repb.Digest
	for _, d := range digests {
		if !s.has(d) {
			out = append(out, d)
		}
	}
	return out
}

// has needs s.mu.
func (s *store) has(d *repb.Digest) bool {
	b, ok := s.blobs[d.GetHash()]
	return ok && int64(len(b.data)) == d.GetSizeBytes()
}

func (s *store) putAction(key actionKey, result *repb.ActionResult) {
	size := int64(proto.Size(result))
	s.mu.Lock()
	defer s.mu.Unlock()
	_, had := s.actions[key]
	s.actions[key] = result
	if !had {
		s.remember(key, true, size)
	}
}

// getAction returns the action's result if all its blobs are there (rule 22,
// as far as the blobs named in the result itself go).
func (s *store) getAction(key actionKey) (*repb.ActionResult, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	result, ok := s.actions[key]
	return result, ok && s.complete(result)
}

// complete needs s.mu.
func (s *store) complete(result *repb.ActionResult) bool {
	for _, f := range result.GetOutputFiles() {
		if !s.has(f.GetDigest()) {
			return false
		}
	}
	for _, d := range result.GetOutputDirectories() {
		if !s.has(d.GetTreeDigest()) {
			return false
		}
	}
	return s.hasOptional(result.GetStdoutDigest()) && s.hasOptional(result.GetStderrDigest())
}

func (s *store) hasOptional(d *repb.Digest) bool {
	return d == nil || s.has(d)
}

// checkResult refuses a result that names no digest where it must.
func checkResult(result *repb.ActionResult) error {
	for i, f := range result.GetOutputFiles() {
		if err := checkDigest(f.GetDigest()); err != nil {
			return fmt.Errorf("output_files[%d]: %w", i, err)
		}
	}
	for i, d := range result.GetOutputDirectories() {
		if err := checkDigest(d.GetTreeDigest()); err != nil {
			return fmt.Errorf("output_directories[%d]: %w", i, err)
		}
	}
	return nil
}

// remember notes what was just added and drops the oldest until all fits. It
// needs s.mu.
func (s *store) remember(key actionKey, action bool, size int64) {
	s.bytes += size
	s.oldest.push(queued{key: key, action: action, size: size})
	for s.bytes > s.maxBytes {
		old, ok := s.oldest.pop()
		if !ok {
			return
		}
		s.bytes -= old.size
		if old.action {
			delete(s.actions, old.key)
		} else {
			delete(s.blobs, old.key.hash)
		}
	}
}
