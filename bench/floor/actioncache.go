package main

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type actionServer struct {
	repb.UnimplementedActionCacheServer
	store *store
}

func (a *actionServer) GetActionResult(_ context.Context, req *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	if err := checkDigest(req.GetActionDigest()); err != nil {
		return nil, err
	}
	result, ok := a.store.getAction(actionKey{req.GetInstanceName(), req.GetActionDigest().GetHash()})
	if !ok {
		return nil, status.Errorf(codes.NotFound, "no result of action %s", req.GetActionDigest().GetHash())
	}
	return result, nil
}

func (a *actionServer) UpdateActionResult(_ context.Context, req *repb.UpdateActionResultRequest) (*repb.ActionResult, error) {
	if err := checkDigest(req.GetActionDigest()); err != nil {
		return nil, err
	}
	if err := checkResult(req.GetActionResult()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	a.store.putAction(actionKey{req.GetInstanceName(), req.GetActionDigest().GetHash()}, req.GetActionResult())
	return req.GetActionResult(), nil
}
