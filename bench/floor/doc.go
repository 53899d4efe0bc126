// Command floor is the yardstick that bench measures other servers against: a
// build cache that keeps everything in one map in memory, behind stock grpc-go
// with the generated code, and net/http.
//
// It is what a competent programmer writes in an afternoon: correct, with no
// needless copy and no needless lock, but nothing tuned. It verifies what is
// uploaded, checks action results for completeness, speaks zstd, and forgets
// its oldest blobs when it is full. It keeps nothing over a restart, knows one
// digest function and does not resume uploads: it is no server to use.
package main
