package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-build/larder/server/blobstore/segment"
)

// openStore opens the store of the settings. The store's lock refuses a second
// server.
func openStore(ctx context.Context, cfg *config, log *slog.Logger, reg prometheus.Registerer) (*segment.Store, error) {
	mode, err := segment.ParseSyncMode(cfg.Sync)
	if err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	store, err := segment.Open(ctx, segment.Options{
		Dir:          cfg.Dir,
		MaxBytes:     int64(cfg.MaxSize),
		MinTTL:       cfg.MinTTL,
		Sync:         mode,
		SyncInterval: cfg.SyncInterval,
		Compress:     cfg.StorageMode == "zstd",
		MinFreeBytes: int64(cfg.MinFree),
		Logger:       log,
		Registerer:   reg,
	})
	if err != nil {
		return nil, fmt.Errorf("dir (%v): %w", cfg.origin("dir"), err)
	}
	return store, nil
}
