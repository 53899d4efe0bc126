package reapi

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/reapi/codec"
)

// actionCacheDesc describes the ActionCache service.
func (s *Server) actionCacheDesc() *grpc.ServiceDesc {
	d := service(actionCacheService, executionProto)
	d.Methods = []grpc.MethodDesc{
		s.unary(actionCacheService, "GetActionResult", s.getActionResult),
		s.unary(actionCacheService, "UpdateActionResult", s.updateActionResult),
	}
	return d
}

// smallInline is the size in bytes of an answer with inlined content while so
// many large ones are under way that they fill the budget. A server may always
// inline less than it is asked for (rule 23).
const smallInline = 64 << 10

// getActionResult implements GetActionResult (rules 1, 8, 22, 23, 25 and 26).
func (s *Server) getActionResult(ctx context.Context, req *codec.Request) (any, error) {
	var m codec.GetActionResult
	if err := m.Decode(req); err != nil {
		return nil, malformed(err)
	}
	action, err := actionDigest(m.Instance, m.Function, &m.Action, m.HasAction)
	if err != nil {
		return nil, err
	}
	inline := actioncache.Inline{Stdout: m.InlineStdout, Stderr: m.InlineStderr, OutputFiles: m.InlineFiles}
	if m.InlineStdout || m.InlineStderr || len(m.InlineFiles) > 0 {
		if s.replies.tryTake(actioncache.DefaultInlineBytes) {
			defer s.replies.give(actioncache.DefaultInlineBytes)
		} else {
			inline.MaxBytes = smallInline
		}
	}
	result, err := s.opts.ActionCache.Get(ctx, actioncache.Request{Instance: m.Instance, Action: action, Inline: inline})
	if err != nil {
		return nil, statusOf(action, err)
	}
	return codec.NewResponse(result), nil
}

// updateActionResult implements UpdateActionResult (rules 8, 24, 25 and 26).
func (s *Server) updateActionResult(ctx context.Context, req *codec.Request) (any, error) {
	if err := s.checkWritable(); err != nil {
		return nil, err
	}
	var m codec.UpdateActionResult
	if err := m.Decode(req); err != nil {
		return nil, malformed(err)
	}
	action, err := actionDigest(m.Instance, m.Function, &m.Action, m.HasAction)
	if err != nil {
		return nil, err
	}
	if !m.HasResult {
		return nil, invalid("action_result is not set")
	}
	stored, err := s.opts.ActionCache.Update(ctx, m.Instance, action, m.Result)
	if e := new(actioncache.InvalidError); errors.As(err, &e) {
		return nil, invalid("%v", e)
	}
	if err != nil {
		return nil, statusErr(err)
	}
	// It may be part of the request, which is freed before it is sent.
	buf := codec.Pool.Get(len(stored))
	return codec.PooledResponse(buf, copy(*buf, stored)), nil
}

// actionDigest checks the digest of the action that a request is about.
func actionDigest(instance string, function int32, wire *codec.Digest, set bool) (digest.Digest, error) {
	if err := checkInstance(instance); err != nil {
		return digest.Digest{}, err
	}
	return requiredDigest("action_digest", function, wire, set)
}

// requiredDigest checks a digest that a request must have, in the named field.
func requiredDigest(field string, function int32, wire *codec.Digest, set bool) (digest.Digest, error) {
	if !set {
		return digest.Digest{}, invalid("%s is not set", field)
	}
	fn, err := resolveFunction(function, len(wire.Hash))
	if err != nil {
		return digest.Digest{}, err
	}
	d, err := digest.Parse(fn, wire.Hash, wire.Size)
	if err != nil {
		return digest.Digest{}, invalidField(field, err)
	}
	return d, nil
}
