package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	larderPackage = "github.com/larder-build/larder/server"
	floorPackage  = "github.com/larder-build/larder/bench/floor"
)

// buildProgram compiles a package of this module into dir.
func buildProgram(ctx context.Context, dir, name, pkg string) (string, error) {
	program := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s (bench is to be run within its module): %w", name, err)
	}
	return program, nil
}
