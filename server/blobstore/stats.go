package blobstore

import "time"

// Stats is what a local store tells of itself.
type Stats struct {
	// Blobs and ActionResults count what can be read now.
	Blobs, ActionResults int64
	// LogicalBytes is the sum of the blobs' uncompressed sizes, StoredBytes of
	// the sizes they are stored in.
	LogicalBytes, StoredBytes int64
	// DiskBytes is what the store occupies, dead room included; MaxBytes is the
	// most it may occupy.
	DiskBytes, MaxBytes int64
	// ReservedBytes is the room of writes under way.
	ReservedBytes int64
	// Files counts the files the blobs are in.
	Files int64
	// EvictedBlobs and EvictedBytes count what was forgotten to make room since
	// the start, CorruptBlobs what was dropped for a failed checksum.
	EvictedBlobs, EvictedBytes, CorruptBlobs int64
	// Oldest is when the least recently written part of the store was
	// written; zero when the store is empty.
	Oldest time.Time
}
