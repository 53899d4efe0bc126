// Package admin serves larder.admin.v1: what an operator may ask a server,
// beside the metrics and the pages for people.
package admin

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminpb "github.com/larder-build/larder/protos/larder/admin/v1"
	"github.com/larder-build/larder/server/blobstore"
)

// Info is what does not change while a server runs.
type Info struct {
	// Version is the server's version, such as "v0.1.0".
	Version string
	// Start is when the server started; New's own time if it is zero.
	Start time.Time
	// StoreKind says what keeps the blobs, such as "segment", and Directory
	// where, if it is in one.
	StoreKind, Directory string
}

// Server implements the Admin service. Its methods may be called at the same
// time.
type Server struct {
	adminpb.UnimplementedAdminServer

	stats func() blobstore.Stats
	info  Info
}

// New returns a server that asks stats for each answer.
func New(stats func() blobstore.Stats, info Info) *Server {
	if info.Start.IsZero() {
		info.Start = time.Now()
	}
	return &Server{stats: stats, info: info}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { adminpb.RegisterAdminServer(r, s) }

// GetStoreStatus implements the RPC of that name.
func (s *Server) GetStoreStatus(context.Context, *adminpb.GetStoreStatusRequest) (*adminpb.GetStoreStatusResponse, error) {
	return &adminpb.GetStoreStatusResponse{
		Version:   s.info.Version,
		StartTime: timestamppb.New(s.info.Start),
		StoreKind: s.info.StoreKind,
		Directory: s.info.Directory,
		Stats:     toProto(s.stats()),
	}, nil
}

func toProto(s blobstore.Stats) *adminpb.StoreStats {
	stats := &adminpb.StoreStats{
		Blobs:         s.Blobs,
		ActionResults: s.ActionResults,
		LogicalBytes:  s.LogicalBytes,
		StoredBytes:   s.StoredBytes,
		DiskBytes:     s.DiskBytes,
		MaxBytes:      s.MaxBytes,
		ReservedBytes: s.ReservedBytes,
		Files:         s.Files,
		EvictedBlobs:  s.EvictedBlobs,
		EvictedBytes:  s.EvictedBytes,
		CorruptBlobs:  s.CorruptBlobs,
	}
	if !s.Oldest.IsZero() {
		stats.Oldest = timestamppb.New(s.Oldest)
	}
	return stats
}
