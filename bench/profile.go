package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// profileLines is how many functions the text of a profile lists.
const profileLines = 40

// profile runs more rounds, which are not measured, and keeps the server's CPU
// profile of them in dir: NAME.pprof, and its top functions in NAME.txt.
func (c *comparison) profile(ctx context.Context, s *server, dir string) error {
	if s.profileURL == "" {
		return nil
	}
	name := filepath.Join(dir, c.workload.name+"."+strings.ReplaceAll(s.contender.name, string(filepath.Separator), "_"))
	// A profile takes whole seconds.
	seconds := max(1, int(c.duration/time.Second))
	done := make(chan error, 1)
	go func() {
		done <- download(ctx, fmt.Sprintf("%sprofile?seconds=%d", s.profileURL, seconds), name+".pprof")
	}()
	for {
		select {
		case err := <-done:
			return errors.Join(err, topOf(ctx, name))
		default:
		}
		c.ops.prepare(c.next, c.perRound)
		_, err := c.round(ctx, s, c.next, c.perRound, false)
		if c.next += c.perRound; err != nil {
			return errors.Join(err, <-done)
		}
	}
}

// download saves what a URL answers.
func download(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// topOf writes the functions that used most CPU, by themselves and with what
// they call.
func topOf(ctx context.Context, name string) error {
	f, err := os.Create(name + ".txt")
	if err != nil {
		return err
	}
	for _, order := range []string{"-flat", "-cum"} {
		cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", order, fmt.Sprintf("-nodecount=%d", profileLines), name+".pprof")
		cmd.Stdout = f
		if err := cmd.Run(); err != nil {
			return errors.Join(fmt.Errorf("go tool pprof: %w", err), f.Close())
		}
	}
	return f.Close()
}
