package main

import (
	"io"
	"log/slog"
	"time"
)

// newLogger returns a logger of at least that level in the form that the
// settings ask for.
func newLogger(cfg *config, w io.Writer, level slog.Level) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: timezone(cfg.LogTimezone)}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// logLevel returns the level of --log_level.
func (c *config) logLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo // kong has checked it
	}
	return level
}

// accessLog returns where requests are logged, whatever the log's level; nil
// where they are not.
func (c *config) accessLog(w io.Writer) *slog.Logger {
	if c.AccessLogLevel != "all" {
		return nil
	}
	return newLogger(c, w, slog.LevelInfo)
}

// timezone rewrites the time of a record.
func timezone(zone string) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 || a.Key != slog.TimeKey {
			return a
		}
		switch t := a.Value.Time(); zone {
		case "none":
			return slog.Attr{}
		case "local":
			return slog.Time(a.Key, t.In(time.Local))
		default:
			return slog.Time(a.Key, t.UTC())
		}
	}
}
