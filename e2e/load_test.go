package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// load writes blobs and action results in every way there is until the server
// is gone, and remembers what was acknowledged.
type load struct {
	client *client
	// numbers gives each blob one of its own.
	numbers *atomic.Uint64
	// onAck is told of each acknowledgement, the first is 1.
	onAck func(n int)

	mu      sync.Mutex
	acks    int
	blobs   []blob   // acknowledged
	pending []blob   // begun, and answered with an error or not at all
	results []result // acknowledged
	// unexpected are errors that are not of a server that is gone.
	unexpected []error
}

// result is an action result that names one output.
type result struct {
	action *repb.Digest
	output blob
	stdout string
}

// writersPerWay is how many goroutines write in each of the ways.
const writersPerWay = 2

// run returns when every writer has met an error.
func (l *load) run(ctx context.Context) {
	var writers sync.WaitGroup
	for _, way := range []func(context.Context) error{
		l.oneByOne(l.client.write),
		l.oneByOne(l.client.writeZstd),
		l.oneByOne(l.putCAS("")),
		l.oneByOne(l.putCAS("zstd")),
		l.batches(repb.Compressor_IDENTITY),
		l.batches(repb.Compressor_ZSTD),
		l.actions(l.updateResult),
		l.actions(l.putResult),
	} {
		for range writersPerWay {
			writers.Go(func() {
				var err error
				for err == nil {
					err = way(ctx)
				}
				l.failed(err)
			})
		}
	}
	writers.Wait()
}

// failed remembers the error that a writer ended with, unless it comes from
// the server's end.
func (l *load) failed(err error) {
	var answer *httpError
	if status.Code(err) == codes.Unavailable || status.Code(err) == codes.Unknown && !errors.As(err, &answer) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unexpected = append(l.unexpected, err)
}

// next returns a blob that nobody had: mostly small, some of several MB.
func (l *load) next() blob {
	size := rand.IntN(20_000)
	switch rand.IntN(40) {
	case 0:
		size = rand.IntN(3 << 20)
	case 1, 2, 3, 4:
		size = rand.IntN(300_000)
	}
	return blob{number: l.numbers.Add(1), size: 8 + size}
}

// settle remembers how a blob's upload went.
func (l *load) settle(b blob, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.pending = append(l.pending, b)
		return err
	}
	l.blobs = append(l.blobs, b)
	l.acknowledged()
	return nil
}

func (l *load) acknowledged() {
	l.acks++
	l.onAck(l.acks)
}

func (l *load) oneByOne(write func(context.Context, *repb.Digest, []byte) error) func(context.Context) error {
	return func(ctx context.Context) error {
		b := l.next()
		data := b.data()
		return l.settle(b, write(ctx, digestOf(data), data))
	}
}

func (l *load) putCAS(encoding string) func(context.Context, *repb.Digest, []byte) error {
	return func(ctx context.Context, d *repb.Digest, data []byte) error {
		return l.client.put(ctx, "/cas/"+d.GetHash(), data, encoding)
	}
}

// batchLen is the number of blobs of a batch, which stays below the usual
// limit of 4 MiB.
const batchLen = 10

func (l *load) batches(compressor repb.Compressor_Value) func(context.Context) error {
	return func(ctx context.Context) error {
		var blobs []blob
		var contents [][]byte
		for range batchLen {
			b := blob{number: l.numbers.Add(1), size: 8 + rand.IntN(20_000)}
			blobs, contents = append(blobs, b), append(contents, b.data())
		}
		var failed error
		for i, err := range l.client.batch(ctx, compressor, contents) {
			if err := l.settle(blobs[i], err); err != nil {
				failed = err
			}
		}
		return failed
	}
}

// actions uploads a command, an action, an output and then the result, as a
// client does that has run the action.
func (l *load) actions(update func(context.Context, *repb.Digest, *repb.ActionResult) error) func(context.Context) error {
	return func(ctx context.Context) error {
		b := blob{number: l.numbers.Add(1), size: 8 + rand.IntN(10_000)}
		output := b.data()
		command, err := proto.Marshal(&repb.Command{Arguments: []string{"make", b.digest().GetHash()}})
		if err != nil {
			return err
		}
		action, err := proto.Marshal(&repb.Action{CommandDigest: digestOf(command), InputRootDigest: digestOf(nil)})
		if err != nil {
			return err
		}
		for _, err := range l.client.batch(ctx, repb.Compressor_IDENTITY, [][]byte{command, action, output}) {
			if err != nil {
				return l.settle(b, err)
			}
		}
		if err := l.settle(b, nil); err != nil {
			return err
		}
		r := result{action: digestOf(action), output: b, stdout: "made"}
		if err := update(ctx, r.action, r.proto()); err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.results = append(l.results, r)
		l.acknowledged()
		return nil
	}
}

func (r result) proto() *repb.ActionResult {
	return &repb.ActionResult{
		OutputFiles:       []*repb.OutputFile{{Path: "out/file", Digest: r.output.digest(), IsExecutable: true}},
		StdoutRaw:         []byte(r.stdout),
		ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: "here"},
	}
}

func (l *load) updateResult(ctx context.Context, action *repb.Digest, result *repb.ActionResult) error {
	_, err := l.client.ac.UpdateActionResult(ctx, &repb.UpdateActionResultRequest{ActionDigest: action, ActionResult: result})
	return err
}

func (l *load) putResult(ctx context.Context, action *repb.Digest, result *repb.ActionResult) error {
	data, err := proto.Marshal(result)
	if err != nil {
		return err
	}
	return l.client.put(ctx, "/ac/"+action.GetHash(), data, "")
}
