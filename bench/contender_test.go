package main

import (
	"reflect"
	"testing"
)

func TestParseRunning(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]contender{
		"x=127.0.0.1:9092,12":       {name: "x", grpcAddress: "127.0.0.1:9092", pid: 12},
		"x=host:1,12,host:2":        {name: "x", grpcAddress: "host:1", pid: 12, httpAddress: "host:2"},
		"x=unix:/run/cache.sock,12": {name: "x", grpcAddress: "unix:/run/cache.sock", pid: 12},
	} {
		if got, err := parseRunning(value); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", value, got, err, want)
		}
	}
	for _, bad := range []string{"", "x", "x=host:1", "=host:1,2", "x=host:1,pid", "x=host:1,-2", "x=a,1,b,c"} {
		if got, err := parseRunning(bad); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}

func TestParseVariant(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]contender{
		"always=--sync=always":         {name: "always", flags: []string{"--sync=always"}, store: true},
		"old=/old/larder --sync off":   {name: "old", program: "/old/larder", flags: []string{"--sync", "off"}, store: true},
		"other=/some/where/else/cache": {name: "other", program: "/some/where/else/cache", flags: []string{}, store: true},
	} {
		if got, err := parseVariant(value); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", value, got, err, want)
		}
	}
	for _, bad := range []string{"", "x", "x=", "=--sync"} {
		if got, err := parseVariant(bad); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	all := []contender{{name: "floor"}, {name: "larder"}, {name: "floor"}, {name: "floor"}}
	distinct(all)
	for i, want := range []string{"floor", "larder", "floor#2", "floor#3"} {
		if all[i].name != want {
			t.Errorf("%d is %s, want %s", i, all[i].name, want)
		}
	}
}
