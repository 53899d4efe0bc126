package merkle

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/larder-build/larder/internal/digest"
)

// InlineOverhead is the most bytes that inlining a blob adds to an
// ActionResult besides the blob: a tag, its length, and the longer length of
// the OutputFile around it.
const InlineOverhead = 16

// HasContents reports whether a client inlined any content.
func (r *ActionResult) HasContents() bool {
	if len(r.Stdout.Raw) > 0 || len(r.Stderr.Raw) > 0 {
		return true
	}
	for i := range r.Files {
		if len(r.Files[i].Contents) > 0 {
			return true
		}
	}
	return false
}

// AppendExtracted appends the ActionResult that Parse has read without its
// inlined contents. The digests that the caller has set since, where the
// message had none, become part of it. Everything else stays as it came, byte
// for byte.
func (r *ActionResult) AppendExtracted(dst []byte) []byte {
	file := 0
	for rest := r.msg; len(rest) > 0; {
		f, tail, ok := next(rest)
		if !ok {
			break // Parse has seen it
		}
		switch {
		case f.is(fieldStdoutRaw), f.is(fieldStderrRaw):
		case f.is(fieldOutputFiles):
			dst = r.Files[file].appendExtracted(dst)
			file++
		default:
			dst = append(dst, rest[:len(rest)-len(tail)]...)
		}
		rest = tail
	}
	dst = r.Stdout.appendDigest(dst, fieldStdout)
	return r.Stderr.appendDigest(dst, fieldStderr)
}

func (s *Stream) appendDigest(dst []byte, num protowire.Number) []byte {
	if s.hasDigest || !s.Digest.Valid() {
		return dst
	}
	return appendDigest(dst, num, &s.Digest)
}

func (o *OutputFile) appendExtracted(dst []byte) []byte {
	dst = protowire.AppendTag(dst, fieldOutputFiles, protowire.BytesType)
	if o.hasDigest && len(o.Contents) == 0 {
		return protowire.AppendBytes(dst, o.msg)
	}
	file := make([]byte, 0, len(o.msg)-len(o.Contents)+2*digest.MaxHashSize+2*InlineOverhead)
	for rest := o.msg; len(rest) > 0; {
		f, tail, ok := next(rest)
		if !ok {
			break
		}
		if !f.is(fieldFileContents) {
			file = append(file, rest[:len(rest)-len(tail)]...)
		}
		rest = tail
	}
	if !o.hasDigest && o.Digest.Valid() {
		file = appendDigest(file, fieldFileDigest, &o.Digest)
	}
	return protowire.AppendBytes(dst, file)
}

// AppendInlined appends the ActionResult that Parse has read with the contents
// of the blobs that have Inline set. Read appends a blob's content, exactly as
// many bytes as its digest says.
func (r *ActionResult) AppendInlined(dst []byte, read func(dst []byte, d digest.Digest) ([]byte, error)) ([]byte, error) {
	var err error
	copied := 0
	for i := range r.Files {
		f := &r.Files[i]
		if !f.Inline {
			continue
		}
		dst = append(dst, r.msg[copied:f.start]...)
		copied = f.end
		size := int(f.Digest.Size())
		dst = protowire.AppendTag(dst, fieldOutputFiles, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(len(f.msg)+1+protowire.SizeBytes(size)))
		dst = append(dst, f.msg...)
		if dst, err = appendBlob(dst, fieldFileContents, f.Digest, read); err != nil {
			return dst, err
		}
	}
	dst = append(dst, r.msg[copied:]...)
	if r.Stdout.Inline {
		if dst, err = appendBlob(dst, fieldStdoutRaw, r.Stdout.Digest, read); err != nil {
			return dst, err
		}
	}
	if r.Stderr.Inline {
		dst, err = appendBlob(dst, fieldStderrRaw, r.Stderr.Digest, read)
	}
	return dst, err
}

func appendBlob(dst []byte, num protowire.Number, d digest.Digest, read func([]byte, digest.Digest) ([]byte, error)) ([]byte, error) {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(d.Size()))
	return read(dst, d)
}

// AppendWorker appends a field to a serialized ActionResult that sets
// execution_metadata.worker, which keeps it from being empty (rule 25).
func AppendWorker(dst []byte, worker string) []byte {
	dst = protowire.AppendTag(dst, fieldMetadata, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(1+protowire.SizeBytes(len(worker))))
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	return protowire.AppendString(dst, worker)
}
