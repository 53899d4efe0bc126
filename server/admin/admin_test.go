package admin_test

import (
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminpb "github.com/larder-build/larder/protos/larder/admin/v1"
	"github.com/larder-build/larder/server/admin"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial serves s, behind the codec that it shares a server with, and returns a
// client.
func dial(t *testing.T, s *admin.Server) adminpb.AdminClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(codec.New()))
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return adminpb.NewAdminClient(conn)
}

func TestGetStoreStatus(t *testing.T) {
	t.Parallel()
	start, oldest := time.Unix(1_700_000_000, 0), time.Unix(1_600_000_000, 5)
	var stats blobstore.Stats
	client := dial(t, admin.New(func() blobstore.Stats { return stats }, admin.Info{
		Version: "v1.2.3", Start: start, StoreKind: "segment", Directory: "/var/cache/larder",
	}))
	want := &adminpb.GetStoreStatusResponse{
		Version: "v1.2.3", StartTime: timestamppb.New(start), StoreKind: "segment", Directory: "/var/cache/larder",
		Stats: &adminpb.StoreStats{},
	}
	got, err := client.GetStoreStatus(t.Context(), &adminpb.GetStoreStatusRequest{})
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("of an empty store: %v, %v, want %v", got, err, want)
	}
	stats = blobstore.Stats{
		Blobs: 1, ActionResults: 2, LogicalBytes: 3, StoredBytes: 4, DiskBytes: 5, MaxBytes: 6,
		ReservedBytes: 7, Files: 8, EvictedBlobs: 9, EvictedBytes: 10, CorruptBlobs: 11, Oldest: oldest,
	}
	want.Stats = &adminpb.StoreStats{
		Blobs: 1, ActionResults: 2, LogicalBytes: 3, StoredBytes: 4, DiskBytes: 5, MaxBytes: 6,
		ReservedBytes: 7, Files: 8, EvictedBlobs: 9, EvictedBytes: 10, CorruptBlobs: 11, Oldest: timestamppb.New(oldest),
	}
	got, err = client.GetStoreStatus(t.Context(), &adminpb.GetStoreStatusRequest{})
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestStartTimeByDefault(t *testing.T) {
	t.Parallel()
	before := time.Now()
	client := dial(t, admin.New(func() blobstore.Stats { return blobstore.Stats{} }, admin.Info{}))
	got, err := client.GetStoreStatus(t.Context(), &adminpb.GetStoreStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if start := got.GetStartTime().AsTime(); start.Before(before) || start.After(time.Now()) {
		t.Errorf("start_time is %v", start)
	}
}

// TestEveryStatIsTold fails when blobstore.Stats gets a field that the API does
// not have.
func TestEveryStatIsTold(t *testing.T) {
	t.Parallel()
	fields := (&adminpb.StoreStats{}).ProtoReflect().Descriptor().Fields()
	told := map[string]bool{}
	for i := range fields.Len() {
		told[strings.ReplaceAll(string(fields.Get(i).Name()), "_", "")] = true
	}
	for f := range reflect.TypeFor[blobstore.Stats]().Fields() {
		if !told[strings.ToLower(f.Name)] {
			t.Errorf("blobstore.Stats.%s is not in larder.admin.v1.StoreStats", f.Name)
		}
	}
}
