package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// quiet is a system with that environment whose output is thrown away.
func quiet(environ ...string) system {
	return system{environ: environ, stdout: io.Discard, stderr: io.Discard}
}

// writeFile writes a configuration file and returns its path.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "min_ttl: 4h\nmax_size: 4\n")
	for _, tc := range []struct {
		name   string
		args   []string
		env    []string
		want   gibibytes
		origin string
	}{
		{"flag first", []string{"--max_size=1", "--config_file", file}, []string{"LARDER_MAX_SIZE=2", "BAZEL_REMOTE_MAX_SIZE=3"}, 1 * gib, "flag --max_size"},
		{"then ours", []string{"--config_file", file}, []string{"LARDER_MAX_SIZE=2", "BAZEL_REMOTE_MAX_SIZE=3"}, 2 * gib, "environment variable LARDER_MAX_SIZE"},
		{"then bazel-remote's", []string{"--config_file", file}, []string{"LARDER_MAX_SIZE=", "BAZEL_REMOTE_MAX_SIZE=3"}, 3 * gib, "environment variable BAZEL_REMOTE_MAX_SIZE"},
		{"then the file", nil, []string{"LARDER_CONFIG_FILE=" + file}, 4 * gib, file + ":2"},
		{"file by bazel-remote's variable", nil, []string{"BAZEL_REMOTE_CONFIG_FILE=" + file}, 4 * gib, file + ":2"},
		{"the flag names the file", []string{"--config_file", file}, []string{"LARDER_CONFIG_FILE=/nonexistent"}, 4 * gib, file + ":2"},
		{"after the command", []string{"config", "--max_size=1"}, nil, 1 * gib, "flag --max_size"},
		{"before the command", []string{"--max_size=1", "config"}, nil, 1 * gib, "flag --max_size"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := parse(append([]string{"--dir=d"}, tc.args...), quiet(tc.env...))
			if err != nil {
				t.Fatal(err)
			}
			if cfg.MaxSize != tc.want || cfg.origin("max_size").String() != tc.origin {
				t.Errorf("max_size is %d from %v, want %d from %s", cfg.MaxSize, cfg.origin("max_size"), tc.want, tc.origin)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := parse(nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(cfg.Dir, "larder") || !filepath.IsAbs(cfg.Dir) {
		t.Errorf("dir is %q", cfg.Dir)
	}
	if cfg.MaxSize <= 0 || cfg.MaxSize > 10*gib {
		t.Errorf("max_size is %d", cfg.MaxSize)
	}
	if total := fileSystemSize(cfg.Dir); total > 0 && int64(cfg.MaxSize) > total/10 {
		t.Errorf("max_size is %d of a disk of %d", cfg.MaxSize, total)
	}
	want := Settings{
		Dir: cfg.Dir, MaxSize: cfg.MaxSize,
		MinTTL: 3 * time.Hour, Sync: "interval", SyncInterval: time.Second, StorageMode: "as_received",
		GRPCAddress: "127.0.0.1:9092", HTTPAddress: "127.0.0.1:8080", MinTLSVersion: "1.2",
		EnableACKeyInstanceMangling: true, MaxBlobSize: unlimited, MaxBatch: 3584 * kib,
		MaxInflight: 128 * mib, PartialUploadsTTL: 10 * time.Minute, PartialUploadsMaxSize: 2 * gib,
		ShutdownTimeout: 30 * time.Second,
		LogLevel:        "info", LogFormat: "text", LogTimezone: "UTC", AccessLogLevel: "none",
		EnableEndpointMetrics:          true,
		EndpointMetricsDurationBuckets: cfg.EndpointMetricsDurationBuckets,
	}
	if !reflect.DeepEqual(cfg.Settings, want) {
		t.Errorf("got  %+v\nwant %+v", cfg.Settings, want)
	}
}

func TestDeprecatedAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args                []string
		http, grpc, profile string
	}{
		{[]string{"--port=80"}, ":80", "127.0.0.1:9092", ""},
		{[]string{"--host=10.0.0.1"}, "10.0.0.1:8080", "10.0.0.1:9092", ""},
		{[]string{"--host=::1", "--port=1", "--grpc_port=2"}, "[::1]:1", "[::1]:2", ""},
		{[]string{"--host=10.0.0.1", "--http_address=:7"}, ":7", "10.0.0.1:9092", ""},
		{[]string{"--grpc_port=0"}, "127.0.0.1:8080", "none", ""},
		{[]string{"--profile_host=127.0.0.1", "--profile_port=6060"}, "127.0.0.1:8080", "127.0.0.1:9092", "127.0.0.1:6060"},
		{[]string{"--profile_host=127.0.0.1"}, "127.0.0.1:8080", "127.0.0.1:9092", "none"},
	} {
		cfg, err := parse(tc.args, quiet())
		if err != nil {
			t.Errorf("%v: %v", tc.args, err)
			continue
		}
		if cfg.HTTPAddress != tc.http || cfg.GRPCAddress != tc.grpc || cfg.ProfileAddress != tc.profile {
			t.Errorf("%v: http %q, grpc %q, profile %q", tc.args, cfg.HTTPAddress, cfg.GRPCAddress, cfg.ProfileAddress)
		}
	}
}

// TestRefusedSettings tells that every mistake is an error that names the
// setting, the value and where it is from, and says what to do.
func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		env  []string
		file string
		want []string
	}{
		{name: "unknown flag", args: []string{"--max_sise=1"}, want: []string{"--max_sise", `did you mean "--max_size"`}},
		{name: "unknown argument", args: []string{"serv"}, want: []string{`serv`}},
		{name: "unknown variable", env: []string{"LARDER_MAX_SIZ=1"}, want: []string{"LARDER_MAX_SIZ", `"1"`, `did you mean "LARDER_MAX_SIZE"`, "unset"}},
		{name: "unknown variable, far", env: []string{"LARDER_XYZZY=1"}, want: []string{"LARDER_XYZZY", "unset"}},
		{name: "unknown bazel-remote variable", env: []string{"BAZEL_REMOTE_DIRR=1"}, want: []string{"BAZEL_REMOTE_DIRR", `"BAZEL_REMOTE_DIR"`}},
		{name: "a variable bazel-remote has not", env: []string{"BAZEL_REMOTE_MIN_TTL=1h"}, want: []string{"BAZEL_REMOTE_MIN_TTL"}},
		{name: "unknown key", file: "dir: x\nmax_sizes: 5\n", want: []string{"larder.yaml:2", `"max_sizes" is no setting`, `"max_size"`}},
		{name: "key twice", file: "dir: x\nmax_size: 5\ndir: y\n", want: []string{"larder.yaml:3", `"dir" is set twice`, "line 1"}},
		{name: "wrong type", file: "max_size: [1]\n", want: []string{"larder.yaml:1", "max_size", "one value"}},
		{name: "mapping for value", file: "dir: {a: b}\n", want: []string{"larder.yaml:1", "dir", "one value"}},
		{name: "no value", file: "dir:\n", want: []string{"larder.yaml:1", "dir has no value"}},
		{name: "list inside list", file: "endpoint_metrics_duration_buckets: [[1]]\n", want: []string{"larder.yaml:1", "plain values"}},
		{name: "not yaml", file: "dir: \"x\n", want: []string{"larder.yaml", "line"}},
		{name: "no mapping", file: "- dir\n", want: []string{"larder.yaml", "line 1", "setting: value"}},
		{name: "two documents", file: "dir: x\n---\ndir: y\n", want: []string{"larder.yaml", "more than one"}},
		{name: "names a file", file: "config_file: x\n", want: []string{"larder.yaml:1", "config_file"}},
		{name: "merge key", file: "<<: {dir: x}\n", want: []string{"larder.yaml:1", `"<<"`}},
		{name: "bad section", file: "s3_proxy: [1]\n", want: []string{"larder.yaml:1", "s3_proxy"}},
		{name: "refused section", file: "dir: x\ns3_proxy:\n  bucket: b\n", want: []string{"larder.yaml:3", "s3.bucket", "later version"}},
		{name: "no such file", args: []string{"--config_file=/nonexistent/larder.yaml"}, want: []string{"/nonexistent/larder.yaml", "configuration file"}},
		{name: "bad value of a flag", args: []string{"--max_size=x"}, want: []string{"--max_size", `"x"`, "500MiB"}},
		{name: "bad value of a variable", env: []string{"BAZEL_REMOTE_MAX_SIZE=x"}, want: []string{"--max_size", "BAZEL_REMOTE_MAX_SIZE", `"x"`}},
		{name: "bad value in a file", file: "max_size: x\n", want: []string{"--max_size", "larder.yaml:1", `"x"`}},
		{name: "bad bool in a file", file: "read_only: perhaps\n", want: []string{"read_only", "larder.yaml:1", "perhaps"}},
		{name: "bad mode in a variable", env: []string{"LARDER_SYNC=often"}, want: []string{"--sync", "LARDER_SYNC", "interval, always, off", `"often"`}},
		{name: "bad mode", args: []string{"--storage_mode=gzip"}, want: []string{"--storage_mode", "gzip", "zstd"}},
		{name: "no size", args: []string{"--max_size=0"}, want: []string{"--max_size", `"0"`, "more than 0"}},
		{name: "negative size", args: []string{"--max_size=-5"}, want: []string{"--max_size", `"-5"`}},
		{name: "huge size", args: []string{"--max_size=9223372036854775807"}, want: []string{"--max_size", "too large"}},
		{name: "negative time", args: []string{"--min_ttl=-1h"}, want: []string{"min_ttl", `"-1h0m0s"`, "flag --min_ttl", "0s or more"}},
		{name: "no time", args: []string{"--sync_interval=0"}, want: []string{"sync_interval", "1ms or more"}},
		{name: "negative timeout", file: "idle_timeout: -1s\n", want: []string{"idle_timeout", "larder.yaml:1"}},
		{name: "store too small", args: []string{"--max_size=1000KiB"}, want: []string{"max_size", `"1000KiB"`, "1MiB"}},
		{name: "too little in flight", args: []string{"--max_inflight=1MiB"}, want: []string{"max_inflight", `"1MiB"`, "32MiB"}},
		{name: "batch too small", args: []string{"--max_batch=1"}, want: []string{"max_batch", `"1B"`, "64KiB", "3968KiB"}},
		{name: "batch too large", args: []string{"--max_batch=4MiB"}, want: []string{"max_batch", `"4MiB"`, "3968KiB"}},
		{name: "port and address", args: []string{"--port=1"}, file: "http_address: :2\n", want: []string{"port (flag --port)", "http_address (", "larder.yaml:1", "contradict"}},
		{name: "grpc_port and address", args: []string{"--grpc_port=1", "--grpc_address=:2"}, want: []string{"grpc_port", "grpc_address", "contradict"}},
		{name: "host and both addresses", args: []string{"--host=h", "--grpc_address=:1", "--http_address=:2"}, want: []string{"host", "no effect"}},
		{name: "profile_port and address", args: []string{"--profile_port=1", "--profile_address=:2"}, want: []string{"profile_port", "profile_address", "contradict"}},
		{name: "profile_host and address", args: []string{"--profile_host=h", "--profile_address=:2"}, want: []string{"profile_host", "profile_address", "contradict"}},
		{name: "port out of range", args: []string{"--port=70000"}, want: []string{"port", "70000", "65535"}},
		{name: "no port", args: []string{"--http_address=localhost"}, want: []string{"http_address", `"localhost"`, "host:port"}},
		{name: "bad port", args: []string{"--grpc_address=localhost:http"}, want: []string{"grpc_address", `"http"`, "number"}},
		{name: "no socket path", args: []string{"--grpc_address=unix:"}, want: []string{"grpc_address", "unix:/path/of/socket"}},
		{name: "same address", args: []string{"--grpc_address=:1", "--http_address=:1"}, want: []string{"grpc_address and http_address", `":1"`}},
		{name: "empty address", args: []string{"--grpc_address="}, want: []string{"grpc_address", "host:port"}},
		{name: "nothing to serve", args: []string{"--grpc_address=none", "--http_address=none"}, want: []string{"grpc_address and http_address", "nothing to serve"}},
		{name: "key alone", args: []string{"--tls_key_file=k"}, want: []string{"tls_key_file", `"k"`, "tls_cert_file"}},
		{name: "certificate alone", env: []string{"BAZEL_REMOTE_TLS_CERT_FILE=c"}, want: []string{"tls_cert_file", `"c"`, "BAZEL_REMOTE_TLS_CERT_FILE", "tls_key_file"}},
		{name: "old TLS", args: []string{"--min_tls_version=1.0"}, want: []string{"min_tls_version", `"1.0"`, "1.2"}},
		{name: "buckets out of order", args: []string{"--endpoint_metrics_duration_buckets=2,1"}, want: []string{"endpoint_metrics_duration_buckets", `"1"`, "order"}},
		{name: "bucket of NaN", args: []string{"--endpoint_metrics_duration_buckets=NaN"}, want: []string{"endpoint_metrics_duration_buckets", `"NaN"`}},
		{name: "no dir", args: []string{"--dir="}, want: []string{"dir", "--dir"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			args := tc.args
			if tc.file != "" {
				args = append(args, "--config_file="+writeFile(t, tc.file))
			}
			cfg, err := parse(args, quiet(tc.env...))
			if err == nil {
				t.Fatalf("taken: %+v", cfg.Settings)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// TestServiceLinks tells that the variables that orchestrators set for a
// service of our name are not taken for settings.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	cfg, err := parse(nil, quiet(
		"LARDER_SERVICE_HOST=10.0.0.1", "LARDER_SERVICE_PORT=9092", "LARDER_SERVICE_PORT_GRPC=9092",
		"LARDER_PORT=tcp://10.0.0.1:9092", "LARDER_PORT_9092_TCP=tcp://10.0.0.1:9092",
		"LARDER_PORT_9092_TCP_PROTO=tcp", "LARDER_PORT_9092_TCP_PORT=9092", "LARDER_PORT_9092_TCP_ADDR=10.0.0.1",
		"BAZEL_REMOTE_SERVICE_HOST=10.0.0.2", "BAZEL_REMOTE_PORT=tcp://10.0.0.2:8080",
		"BAZEL_REMOTE_CACHE_SERVICE_HOST=10.0.0.3", "BAZEL_REMOTE_CACHE_PORT=udp://10.0.0.3:8080",
		"LARDERS=1", "XLARDER_DIR=2",
	))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddress != "127.0.0.1:8080" {
		t.Errorf("http_address is %q", cfg.HTTPAddress)
	}
}

func TestSetToNothing(t *testing.T) {
	t.Parallel()
	file := writeFile(t, strings.Join([]string{
		"s3_proxy:", "ldap: {url: ''}", "allow_unauthenticated_reads: false", "num_uploaders: 100", "htpasswd_file: ''",
		"zstd_implementation: go", "max_size_hard_limit: -1", "max_size: 7",
	}, "\n"))
	cfg, err := parse([]string{"--config_file", file, "--max_queued_uploads=1000000", "--http_metrics_prefix=false"}, quiet("BAZEL_REMOTE_MAX_PROXY_BLOB_SIZE=9223372036854775807"))
	if err != nil {
		t.Fatal("a refused setting whose value asks for nothing was refused:", err)
	}
	if cfg.MaxSize != 7*gib {
		t.Errorf("max_size is %d", cfg.MaxSize)
	}
}

func TestBazelRemoteFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, `
# a configuration file of bazel-remote
host: 127.0.0.1
port: 8081
grpc_port: 9093
dir: /var/cache/larder
max_size: 100
storage_mode: zstd
idle_timeout: 10m
disable_http_ac_validation: true
enable_endpoint_metrics: true
endpoint_metrics_duration_buckets: [.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320]
access_log_level: none
log_timezone: local
`)
	cfg, err := parse([]string{"--config_file", file}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddress != "127.0.0.1:8081" || cfg.GRPCAddress != "127.0.0.1:9093" || cfg.MaxSize != 100*gib ||
		cfg.StorageMode != "zstd" || cfg.IdleTimeout != 10*time.Minute || !cfg.DisableHTTPACValidation ||
		len(cfg.EndpointMetricsDurationBuckets) != 10 || cfg.LogTimezone != "local" {
		t.Errorf("got %+v", cfg.Settings)
	}
}

// TestPrintedConfigMeansTheSame feeds what larder config prints back.
func TestPrintedConfigMeansTheSame(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"--port=81", "--grpc_port=0", "--max_size=0.3", "--min_ttl=90m", "--sync=always", "--read_only", "--isolate_cas", "--enable_ac_key_instance_mangling=false"},
		{"--dir=/a b/\"c\"#d", "--tls_cert_file=c: d", "--tls_key_file=- k", "--max_blob_size=1000000", "--shutdown_timeout=1m0.5s", "--idle_timeout=25h", "--endpoint_metrics_duration_buckets=1e-7,2"},
	} {
		first, err := parse(args, quiet())
		if err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if err := writeConfig(&printed, first); err != nil {
			t.Fatal(err)
		}
		second, err := parse([]string{"--config_file", writeFile(t, printed.String())}, quiet())
		if err != nil {
			t.Fatalf("%v\n%s", err, &printed)
		}
		second.ConfigFile = ""
		for _, deprecated := range []*int{&first.Port, &first.GRPCPort} {
			*deprecated = 0
		}
		if !reflect.DeepEqual(first.Settings, second.Settings) {
			t.Errorf("printed\n%s\nfrom %+v\nread %+v", &printed, first.Settings, second.Settings)
		}
	}
}

// TestBazelRemoteSettings takes or refuses every setting that bazel-remote
// has, as flag and as variable, as the list in testdata says.
func TestBazelRemoteSettings(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/bazel-remote-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		name, variable, value, verdict := f[0], "BAZEL_REMOTE_"+f[1], f[2], f[3]
		count++
		var more []string
		switch name {
		case "config_file":
			value = writeFile(t, "dir: x\n")
		case "tls_cert_file":
			more = []string{"--tls_key_file=k"}
		case "tls_key_file":
			more = []string{"--tls_cert_file=c"}
		}
		for _, source := range []struct {
			args, env []string
			origin    string
		}{
			{args: append(more, "--"+name+"="+value), origin: "flag --" + name},
			{args: more, env: []string{variable + "=" + value}, origin: "environment variable " + variable},
		} {
			cfg, err := parse(source.args, quiet(source.env...))
			switch {
			case verdict == "take" && err != nil:
				t.Errorf("%v %v: %v", source.args, source.env, err)
			case verdict == "take" && cfg.origin(name).String() != source.origin:
				t.Errorf("%v %v: has no effect: %v", source.args, source.env, cfg.origin(name))
			case verdict == "refuse" && err == nil:
				t.Errorf("%v %v: taken", source.args, source.env)
			case verdict == "refuse" && (!strings.Contains(err.Error(), "--"+name+": ") || !strings.Contains(err.Error(), "remove it")):
				t.Errorf("%v %v: error %q does not say what to do", source.args, source.env, err)
			}
		}
	}
	if count != 80 {
		t.Errorf("the list has %d settings, bazel-remote has 80", count)
	}
}

// TestEverySettingHasItsTags holds the struct to one form.
func TestEverySettingHasItsTags(t *testing.T) {
	t.Parallel()
	groups := map[string]bool{}
	last := ""
	for f := range reflect.TypeFor[Settings]().Fields() {
		name, help, group := f.Tag.Get("name"), f.Tag.Get("help"), f.Tag.Get("group")
		if name == "" || name != strings.ToLower(name) || strings.Contains(name, "-") {
			t.Errorf("%s: flag %q is not in snake case", f.Name, name)
		}
		if help == "" || !strings.HasSuffix(help, ".") || strings.Contains(help, "|") {
			t.Errorf("%s: help %q is not a sentence that fits a table", f.Name, help)
		}
		if group == "" || group != last && groups[group] {
			t.Errorf("%s: group %q is empty or in two places", f.Name, group)
		}
		groups[group], last = true, group
	}
}

// TestSettingsTableIsCurrent compares docs/operations.md with the struct.
func TestSettingsTableIsCurrent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if code := run([]string{"config", "--docs"}, system{stdout: &table, stderr: io.Discard}); code != exitOK {
		t.Fatalf("larder config --docs: exit code %d", code)
	}
	const begin, end = "<!-- settings: larder config --docs -->\n", "<!-- end of settings -->"
	_, rest, ok := strings.Cut(string(page), begin)
	inside, _, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/operations.md has no %q and %q", begin, end)
	}
	if strings.TrimSpace(inside) != strings.TrimSpace(table.String()) {
		t.Errorf("docs/operations.md is out of date: put the output of \"go run ./server config --docs\" between its marks; it has\n%s", diffLine(inside, table.String()))
	}
}

// diffLine returns the first line that differs.
func diffLine(got, want string) string {
	g, w := strings.Split(strings.TrimSpace(got), "\n"), strings.Split(strings.TrimSpace(want), "\n")
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("  %s\ninstead of\n  %s", a, b)
		}
	}
	return ""
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "dir: x\n", "max_size: 0.5\nsync: off\n", "endpoint_metrics_duration_buckets: [1, 2]\n",
		"s3_proxy: {bucket: b}\n", "a: &x 1\nb: *x\n", "<<: *x", "dir: x\n---\n", "? [a]\n: b\n", "\xff", "{dir: x, dir: y}",
	} {
		f.Add([]byte(seed))
	}
	flags := flagsOf(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := parseConfigFile("f.yaml", data, flags)
		if err != nil {
			if !strings.Contains(err.Error(), "f.yaml") {
				t.Errorf("error %q does not name the file", err)
			}
			return
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		for name, g := range found {
			if g.origin.line < 1 || g.origin.line > 3*lines { // YAML has more line breaks
				t.Errorf("%s is from line %d of %d", name, g.origin.line, lines)
			}
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"10", "0.5", "500MiB", "1e3", "9223372036854775807B", ".", "1.2.3", " 1 GB "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text, gib)
		if err != nil {
			return
		}
		if n <= 0 {
			t.Fatalf("parseSize(%q) is %d", text, n)
		}
		again, err := parseSize(formatSize(n), gib)
		if err != nil || again != n {
			t.Errorf("parseSize(%q) is %d, written %q, read %d, %v", text, n, formatSize(n), again, err)
		}
	})
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"10": 10 * gib, "0.5": gib / 2, "1.5GiB": 3 * gib / 2, "500MiB": 500 * mib, "2GB": 2e9, "64 KiB": 64 * kib,
		"1B": 1, "1TiB": gib * kib, "9223372036854775807B": unlimited,
	} {
		if n, err := parseSize(text, gib); err != nil || n != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "0", "-1", "1e3", "1/2", "x", "1 2", "0.0000000001", "99999999999", strings.Repeat("1", 50)} {
		if n, err := parseSize(text, gib); err == nil {
			t.Errorf("parseSize(%q) = %d", text, n)
		}
	}
}

func flagsOf(tb testing.TB) []*kong.Flag {
	tb.Helper()
	p, err := newParser(new(grammar), quiet())
	if err != nil {
		tb.Fatal(err)
	}
	return settingFlags(p)
}
