package main

import "time"

// Settings is every setting of the server. One field is the flag, the
// environment variables, the key of the configuration file, the line of
// --help and the row of the table in docs/operations.md; config_test.go holds
// them to it.
//
// The tags are kong's, and two of ours:
//
//   - bazel: bazel-remote has this setting too. The value is the rest of its
//     environment variable after BAZEL_REMOTE_, where that is not the flag's
//     name in capitals.
//   - auto: what the default is, where it depends on the machine.
type Settings struct {
	ConfigFile string `name:"config_file" bazel:"" placeholder:"FILE" group:"Configuration" help:"YAML file to read settings from; flags and environment variables go before it."`

	Dir          string        `name:"dir" bazel:"" default:"${default_dir}" auto:"larder in the user's cache directory" placeholder:"DIR" group:"Store" help:"Directory of the store; it is created if it does not exist."`
	MaxSize      gibibytes     `name:"max_size" bazel:"" auto:"10, or a tenth of the disk if that is less" placeholder:"GIB" group:"Store" help:"Most the store may occupy: GiB, fractions allowed, or a number with a unit such as 500MiB."`
	MinFree      optionalSize  `name:"min_free" default:"0" placeholder:"BYTES" group:"Store" help:"Room to leave free on the file system: with less, the store evicts even below --max_size. 0 does not look."`
	MinTTL       time.Duration `name:"min_ttl" default:"3h" placeholder:"DURATION" group:"Store" help:"How long a blob that was used is kept at least, while the disk allows it. Bazel's builds without the bytes assume 3h."`
	Sync         string        `name:"sync" enum:"interval,always,off" default:"interval" placeholder:"MODE" group:"Store" help:"What survives a power failure: all that was acknowledged more than --sync_interval ago (interval), all that was acknowledged (always), or what the system wrote by itself (off). A crash of the server loses nothing with any of them."`
	SyncInterval time.Duration `name:"sync_interval" default:"1s" placeholder:"DURATION" group:"Store" help:"Time between two syncs with --sync=interval."`
	StorageMode  string        `name:"storage_mode" bazel:"" enum:"as_received,zstd,uncompressed" default:"as_received" placeholder:"MODE" group:"Store" help:"How blobs are kept: as they arrive (as_received), or compressed by the server (zstd). uncompressed is bazel-remote's name for a server that compresses nothing itself, and means as_received."`

	GRPCAddress      string        `name:"grpc_address" bazel:"" default:"127.0.0.1:9092" placeholder:"ADDRESS" group:"Listeners" help:"Where to serve gRPC: host:port, unix:/path/of/socket, or none."`
	HTTPAddress      string        `name:"http_address" bazel:"" default:"127.0.0.1:8080" placeholder:"ADDRESS" group:"Listeners" help:"Where to serve the HTTP cache, /status, /metrics, /healthz and /readyz: host:port, unix:/path/of/socket, or none."`
	ProfileAddress   string        `name:"profile_address" bazel:"" placeholder:"ADDRESS" group:"Listeners" help:"Where to serve Go's profiles (/debug/pprof/); off unless set."`
	HTTPReadTimeout  time.Duration `name:"http_read_timeout" bazel:"" default:"0s" placeholder:"DURATION" group:"Listeners" help:"Longest time an HTTP request may take to arrive; 0 sets no limit."`
	HTTPWriteTimeout time.Duration `name:"http_write_timeout" bazel:"" default:"0s" placeholder:"DURATION" group:"Listeners" help:"Longest time an HTTP response may take to be sent; 0 sets no limit."`
	TLSCertFile      string        `name:"tls_cert_file" bazel:"" placeholder:"FILE" group:"Listeners" help:"PEM certificate (chain) of the server: both listeners then speak TLS. It is read again when it changes."`
	TLSKeyFile       string        `name:"tls_key_file" bazel:"" placeholder:"FILE" group:"Listeners" help:"PEM private key of --tls_cert_file."`
	MinTLSVersion    string        `name:"min_tls_version" bazel:"" enum:"1.0,1.1,1.2,1.3" default:"1.2" placeholder:"VERSION" group:"Listeners" help:"Oldest TLS version accepted: 1.2 or 1.3."`

	ReadOnly                    bool          `name:"read_only" group:"Protocol" help:"Refuse every write."`
	IsolateCAS                  bool          `name:"isolate_cas" group:"Protocol" help:"Keep the blobs of each instance name apart as well, not only the action results."`
	EnableACKeyInstanceMangling bool          `name:"enable_ac_key_instance_mangling" bazel:"" default:"true" group:"Protocol" help:"Keep the action results of each instance name apart. With false all instance names share them, which is bazel-remote's default."`
	DisableHTTPACValidation     bool          `name:"disable_http_ac_validation" bazel:"" group:"Protocol" help:"Take and give action cache entries over HTTP as opaque bytes, unchecked."`
	DisableGRPCACDepsCheck      bool          `name:"disable_grpc_ac_deps_check" bazel:"DISABLE_GRPS_AC_DEPS_CHECK" group:"Protocol" help:"Answer an action result without checking that the blobs it names are there."`
	MaxBlobSize                 byteSize      `name:"max_blob_size" bazel:"" default:"9223372036854775807" auto:"what fits the store" placeholder:"BYTES" group:"Protocol" help:"Largest blob accepted: bytes, or a number with a unit such as 2GiB."`
	MaxBatch                    byteSize      `name:"max_batch" default:"3584KiB" placeholder:"BYTES" group:"Protocol" help:"Most bytes of blobs in one batch request or response, as advertised to clients: at most 3968KiB, which fits a gRPC message of 4MiB."`
	MaxInflight                 byteSize      `name:"max_inflight" default:"128MiB" placeholder:"BYTES" group:"Protocol" help:"Most memory for large messages of requests under way, and as much again for responses. What does not fit waits."`
	DrainUploads                bool          `name:"drain_uploads" group:"Protocol" help:"Read the rest of an upload whose blob is there already before answering it. Some proxies, HAProxy among them, take an earlier answer for a failure."`
	PartialUploadsTTL           time.Duration `name:"partial_uploads_ttl" default:"10m" placeholder:"DURATION" group:"Protocol" help:"How long an upload whose connection broke waits to be resumed."`
	PartialUploadsMaxSize       byteSize      `name:"partial_uploads_max_size" default:"2GiB" placeholder:"BYTES" group:"Protocol" help:"Most bytes of the store that uploads waiting to be resumed may hold; the oldest is dropped for more."`

	IdleTimeout     time.Duration `name:"idle_timeout" bazel:"" default:"0s" placeholder:"DURATION" group:"Running" help:"Stop after this time without a request; 0 never does."`
	ShutdownTimeout time.Duration `name:"shutdown_timeout" default:"30s" placeholder:"DURATION" group:"Running" help:"How long requests under way may take to finish after SIGTERM or SIGINT. A second signal ends the server at once."`

	LogLevel                       string    `name:"log_level" enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL" group:"Logs and metrics" help:"Least important messages to log: debug, info, warn or error."`
	LogFormat                      string    `name:"log_format" enum:"text,json" default:"text" placeholder:"FORMAT" group:"Logs and metrics" help:"Form of the log on standard error: text or json."`
	LogTimezone                    string    `name:"log_timezone" bazel:"" enum:"UTC,local,none" default:"UTC" placeholder:"ZONE" group:"Logs and metrics" help:"Time zone of the log's times: UTC, local, or none for no times."`
	AccessLogLevel                 string    `name:"access_log_level" bazel:"" enum:"all,none" default:"none" placeholder:"LEVEL" group:"Logs and metrics" help:"Log every request (all) or no request (none)."`
	EnableEndpointMetrics          bool      `name:"enable_endpoint_metrics" bazel:"" default:"true" group:"Logs and metrics" help:"Measure the duration of requests per method, in /metrics."`
	EndpointMetricsDurationBuckets []float64 `name:"endpoint_metrics_duration_buckets" default:".0001,.00025,.0005,.001,.0025,.005,.01,.025,.05,.1,.25,.5,1,2.5,5,10,30,60" placeholder:"SECONDS" group:"Logs and metrics" help:"Upper bounds of the duration histograms' buckets, in seconds."`

	// What follows is deprecated in bazel-remote. It is folded into the
	// settings above and seen by nothing else.

	Host        string `name:"host" bazel:"" hidden:"" group:"Deprecated" help:"Use --http_address and --grpc_address."`
	Port        int    `name:"port" bazel:"" hidden:"" group:"Deprecated" help:"Use --http_address."`
	GRPCPort    int    `name:"grpc_port" bazel:"" hidden:"" group:"Deprecated" help:"Use --grpc_address."`
	ProfileHost string `name:"profile_host" bazel:"" hidden:"" group:"Deprecated" help:"Use --profile_address."`
	ProfilePort int    `name:"profile_port" bazel:"" hidden:"" group:"Deprecated" help:"Use --profile_address."`
}
