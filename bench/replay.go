package main

import (
	"context"
	"errors"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// outputCounts is how many output files the actions of a build have, over and
// over; a deck deals their sizes.
var outputCounts = [...]int{1, 1, 2, 1, 1, 4}

// outputsPerTurn is the sum of outputCounts, turnsPerDeck how many turns of it
// a deck has sizes for.
const (
	outputsPerTurn = 10
	turnsPerDeck   = deckSize / outputsPerTurn
)

// build is an endless build as Bazel does it: actions that each have a command
// and some outputs.
type build struct {
	contents *contents
	space    uint64
	deck     []int
}

func newBuild(c *contents, space uint64) build {
	return build{c, space, newDeck(c.seed)}
}

// built is one action of a build.
type built struct {
	action *repb.Digest
	result *repb.ActionResult
	// outputs are the output files; uploads are they and the Action and
	// Command messages, whose content is not looked at by anybody.
	outputs, uploads []stored
	// metadata is what Bazel sends along with every call for an action.
	metadata metadata.MD
}

// blobsPerAction is more blobs than any action has.
const blobsPerAction = 8

func (b *build) blob(i, k, size int) stored {
	id := blobID{size, b.space + uint64(i*blobsPerAction+k)}
	d := b.contents.digest(id)
	return stored{id, d, readName(d)}
}

// at returns action i of the build.
func (b *build) at(i int) built {
	deal := i / len(outputCounts) * outputsPerTurn
	for _, n := range outputCounts[:i%len(outputCounts)] {
		deal += n
	}
	action, command := b.blob(i, 0, actionSize), b.blob(i, 1, 512+scatter(uint64(i), 2048))
	a := built{
		action:  action.digest,
		result:  &repb.ActionResult{ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: "bench"}},
		uploads: []stored{action, command},
	}
	for k := range outputCounts[i%len(outputCounts)] {
		s := b.blob(i, 2+k, b.deck[(deal+k)%len(b.deck)])
		a.outputs = append(a.outputs, s)
		a.result.OutputFiles = append(a.result.OutputFiles, &repb.OutputFile{
			Path:   fmt.Sprintf("bazel-out/k8-fastbuild/bin/package%d/output%d.o", i, k),
			Digest: s.digest,
		})
	}
	a.uploads = append(a.uploads, a.outputs...)
	a.metadata = requestMetadata(action.digest)
	return a
}

// requestMetadata is the header with which Bazel tells what a call is for
// (rule 31).
func requestMetadata(action *repb.Digest) metadata.MD {
	data, err := proto.Marshal(&repb.RequestMetadata{
		ToolDetails:             &repb.ToolDetails{ToolName: "bazel", ToolVersion: "7.7.1"},
		ActionId:                action.Hash,
		ToolInvocationId:        "6a2f4c8e-0000-4000-8000-000000000001",
		CorrelatedInvocationsId: "6a2f4c8e-0000-4000-8000-000000000002",
		ActionMnemonic:          "CppCompile",
		TargetId:                "//some/package:name",
	})
	if err != nil {
		panic(err) // a message of valid strings
	}
	return metadata.Pairs("build.bazel.remote.execution.v2.requestmetadata-bin", string(data))
}

// replayCold builds actions the server does not know.
type replayCold struct {
	build
	first   int
	actions []built
}

func newReplayCold(c *contents, space uint64) operations {
	return &replayCold{build: newBuild(c, space)}
}

func (r *replayCold) setup(context.Context, *caller) error { return nil }

func (r *replayCold) prepare(first, n int) {
	r.first, r.actions = first, make([]built, n)
	for k := range n {
		r.actions[k] = r.at(first + k)
	}
}

func (r *replayCold) do(ctx context.Context, c *caller, i int) (int64, error) {
	return c.buildCold(ctx, r.actions[i-r.first])
}

// buildCold makes the calls of an action that is not in the cache.
func (c *caller) buildCold(ctx context.Context, a built) (int64, error) {
	ctx = metadata.NewOutgoingContext(ctx, a.metadata)
	if err := c.missAction(ctx, a.action); err != nil {
		return 0, err
	}
	find := &repb.FindMissingBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
	for _, s := range a.uploads {
		find.BlobDigests = append(find.BlobDigests, s.digest)
	}
	resp, err := c.cas.FindMissingBlobs(ctx, find)
	if err != nil {
		return 0, err
	}
	if len(resp.MissingBlobDigests) != len(find.BlobDigests) {
		return 0, errThere
	}
	var n int64
	for _, s := range a.uploads {
		if err := c.write(ctx, writeName(s.id.serial, s.name), c.content.blob(s.id)); err != nil {
			return n, err
		}
		n += int64(s.id.size)
	}
	return n, c.updateAction(ctx, a.action, a.result)
}

// replayWarm builds actions the server knows all about.
type replayWarm struct {
	build
	actions []built
}

func newReplayWarm(c *contents, space uint64) operations {
	r := &replayWarm{build: newBuild(c, space)}
	for i := range turnsPerDeck * len(outputCounts) {
		r.actions = append(r.actions, r.at(i))
	}
	return r
}

func (r *replayWarm) setup(ctx context.Context, c *caller) error {
	for _, a := range r.actions {
		if err := c.upload(ctx, a.uploads); err != nil && !errors.Is(err, errThere) {
			return err
		}
		if err := c.updateAction(ctx, a.action, a.result); err != nil {
			return err
		}
	}
	return nil
}

func (r *replayWarm) prepare(int, int) {}

func (r *replayWarm) do(ctx context.Context, c *caller, i int) (int64, error) {
	a := r.actions[i%len(r.actions)]
	ctx = metadata.NewOutgoingContext(ctx, a.metadata)
	result, err := c.getAction(ctx, a.action)
	if err != nil {
		return 0, err
	}
	if len(result.OutputFiles) != len(a.outputs) {
		return 0, fmt.Errorf("action %s has %d outputs, not %d", a.action.Hash, len(result.OutputFiles), len(a.outputs))
	}
	var total int64
	for _, s := range a.outputs {
		n, err := c.readBlob(ctx, s.name, s.id)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}
