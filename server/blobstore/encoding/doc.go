// Package encoding stands between the form a blob is stored in and the form a
// client sends or wants: it verifies what comes in, and serves any blob in any
// encoding from any place in it (rules 12 and 14 of the protocol).
//
// A store uses Verifier and Verify where bytes enter; nothing is hashed again
// after that. A listener uses Open where bytes leave. Both keep to a bounded
// amount of memory, whatever a client sends: decoders refuse windows over
// MaxWindow, never decode past the size in the digest, and are limited in
// number together with the encoders.
//
// zstd is RFC 8878: a stream is any number of frames, skippable ones included,
// that decode to the blob one after the other. Dictionaries are not supported.
package encoding
