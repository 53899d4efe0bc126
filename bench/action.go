package main

import (
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	actionOutputs = 10  // output files of an action result
	actionSize    = 142 // bytes of an Action message
)

// results are action results over a set of blobs.
type results struct {
	contents *contents
	space    uint64
	set      []stored
	pool     []*repb.ActionResult
}

func newResults(c *contents, space uint64) results {
	r := results{contents: c, space: space, set: newSet(c, 1*kib, setCount, space+setupSpace)}
	for v := range variants {
		result := &repb.ActionResult{ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: "bench"}}
		for k := range actionOutputs {
			result.OutputFiles = append(result.OutputFiles, &repb.OutputFile{
				Path:         fmt.Sprintf("bazel-out/k8-fastbuild/bin/some/package/name%d/output%d.o", v, k),
				Digest:       r.set[scatter(uint64(v*actionOutputs+k), setCount)].digest,
				IsExecutable: k == 0,
			})
		}
		r.pool = append(r.pool, result)
	}
	return r
}

func (r *results) setup(ctx context.Context, c *caller) error { return c.upload(ctx, r.set) }

// action returns the digest of the action of that number.
func (r *results) action(i int) *repb.Digest {
	return r.contents.digest(blobID{actionSize, r.space + uint64(i)})
}

func (r *results) actions(first, n int) []*repb.Digest {
	out := make([]*repb.Digest, n)
	for k := range n {
		out[k] = r.action(first + k)
	}
	return out
}

func (c *caller) updateAction(ctx context.Context, action *repb.Digest, result *repb.ActionResult) error {
	_, err := c.ac.UpdateActionResult(ctx, &repb.UpdateActionResultRequest{
		ActionDigest:   action,
		ActionResult:   result,
		DigestFunction: repb.DigestFunction_SHA256,
	})
	return err
}

func (c *caller) getAction(ctx context.Context, action *repb.Digest) (*repb.ActionResult, error) {
	return c.ac.GetActionResult(ctx, &repb.GetActionResultRequest{
		ActionDigest:   action,
		DigestFunction: repb.DigestFunction_SHA256,
	})
}

// missAction asks for a result that is not there.
func (c *caller) missAction(ctx context.Context, action *repb.Digest) error {
	_, err := c.getAction(ctx, action)
	switch status.Code(err) {
	case codes.NotFound:
		return nil
	case codes.OK:
		return fmt.Errorf("action %s has a result already: the server keeps them between runs, use another --seed", action.Hash)
	}
	return err
}

// actionUpdate stores results of new actions.
type actionUpdate struct {
	results
	first   int
	digests []*repb.Digest
}

func newActionUpdate(c *contents, space uint64) operations {
	return &actionUpdate{results: newResults(c, space)}
}

func (a *actionUpdate) prepare(first, n int) { a.first, a.digests = first, a.actions(first, n) }

func (a *actionUpdate) do(ctx context.Context, c *caller, i int) (int64, error) {
	return 0, c.updateAction(ctx, a.digests[i-a.first], a.pool[i%variants])
}

// actionHit asks for results that are there.
type actionHit struct {
	results
	digests []*repb.Digest
}

func newActionHit(c *contents, space uint64) operations {
	a := &actionHit{results: newResults(c, space)}
	a.digests = a.actions(setupSpace, setCount)
	return a
}

func (a *actionHit) setup(ctx context.Context, c *caller) error {
	if err := a.results.setup(ctx, c); err != nil {
		return err
	}
	for i, d := range a.digests {
		if err := c.updateAction(ctx, d, a.pool[i%variants]); err != nil {
			return err
		}
	}
	return nil
}

func (a *actionHit) prepare(int, int) {}

func (a *actionHit) do(ctx context.Context, c *caller, i int) (int64, error) {
	k := scatter(uint64(i), setCount)
	result, err := c.getAction(ctx, a.digests[k])
	if err != nil {
		return 0, err
	}
	want := a.pool[k%variants]
	if len(result.OutputFiles) != actionOutputs || result.OutputFiles[9].Digest.GetHash() != want.OutputFiles[9].Digest.Hash {
		return 0, fmt.Errorf("action %s has another result than was stored", a.digests[k].Hash)
	}
	return 0, nil
}

// actionMiss asks for results of actions nobody has seen.
type actionMiss struct {
	results
	first   int
	digests []*repb.Digest
}

func newActionMiss(c *contents, space uint64) operations {
	return &actionMiss{results: results{contents: c, space: space}}
}

func (a *actionMiss) prepare(first, n int) { a.first, a.digests = first, a.actions(first, n) }

func (a *actionMiss) do(ctx context.Context, c *caller, i int) (int64, error) {
	return 0, c.missAction(ctx, a.digests[i-a.first])
}
