package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// refusal is a setting of bazel-remote that Larder knows and does not have. It
// is refused with a sentence, so that nobody believes it to be in force.
type refusal struct {
	names []string // flags
	// inert are the values, besides "" and "false", that ask for nothing.
	inert []string
	// instead says why not and what to do, after "--name ".
	instead string
}

// sections are the sections of bazel-remote's configuration file, with the
// beginning of the flags they stand for.
func sections() map[string]string {
	return map[string]string{
		"s3_proxy": "s3", "gcs_proxy": "gcs_proxy", "azblob_proxy": "azblob",
		"http_proxy": "http_proxy", "grpc_proxy": "grpc_proxy", "ldap": "ldap",
	}
}

// refusals lists what is refused.
func refusals() []refusal {
	const (
		backend = "needs a storage backend, which comes with a later version: for now Larder keeps blobs on its own disk, so remove it"
		users   = "needs authentication, which comes with a later version: for now listen on loopback or a unix socket, or put an authenticating proxy in front, and remove it"
		queue   = "tunes uploads to a storage backend, which come with a later version: remove it"
	)
	return []refusal{
		{names: under("s3", "endpoint", "bucket", "bucket_lookup_type", "prefix", "auth_method", "access_key_id", "secret_access_key", "session_token", "signature_type", "aws_shared_credentials_file", "aws_profile", "disable_ssl", "update_timestamps", "iam_role_endpoint", "region", "key_version", "max_idle_conns"), instead: backend},
		{names: under("azblob", "tenant_id", "storage_account", "container_name", "prefix", "update_timestamps", "auth_method", "shared_key", "client_id", "client_secret", "cert_path"), instead: backend},
		{names: under("gcs_proxy", "bucket", "use_default_credentials", "json_credentials_file"), instead: backend},
		{names: under("http_proxy", "url", "key_file", "cert_file", "ca_file"), instead: backend},
		{names: under("grpc_proxy", "url", "key_file", "cert_file", "ca_file"), instead: backend},
		{names: under("ldap", "url", "base_dn", "bind_user", "bind_password", "username_attribute", "groups_query", "cache_time"), instead: users},
		{names: []string{"htpasswd_file"}, instead: users},
		{names: []string{"tls_ca_file"}, instead: "needs client certificates, which come with a later version: for now listen on loopback or a unix socket, or put a proxy that checks certificates in front, and remove it"},
		{names: []string{"allow_unauthenticated_reads"}, instead: "relaxes an authentication that does not exist yet: every client may read and write, so remove it, or set --read_only"},
		{names: []string{"max_queued_uploads"}, inert: []string{"1000000"}, instead: queue},
		{names: []string{"num_uploaders"}, inert: []string{"100"}, instead: queue},
		{names: []string{"max_proxy_blob_size"}, inert: []string{"9223372036854775807"}, instead: queue},
		{names: []string{"max_size_hard_limit"}, inert: []string{"-1"}, instead: "is not needed: --max_size is the hard limit already, so remove it"},
		{names: []string{"zstd_implementation"}, inert: []string{"go"}, instead: "has one value here, go: remove it"},
		{names: []string{"http_metrics_prefix"}, instead: "renames metrics of bazel-remote, which have other names here (docs/operations.md lists them): remove it"},
		{names: []string{"experimental_remote_asset_api"}, instead: "needs the Remote Asset API, which comes with a later version: remove it"},
	}
}

func under(prefix string, names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, prefix+"."+n)
	}
	return out
}

// bazelVariable returns the environment variable that bazel-remote reads for
// the refused flag.
func bazelVariable(name string) string {
	switch name {
	case "azblob.client_secret":
		return "BAZEL_REMOTE_AZBLOB_SECRET_CLIENT_SECRET"
	case "allow_unauthenticated_reads":
		return "BAZEL_REMOTE_UNAUTHENTICATED_READS"
	case "ldap.username_attribute":
		return "BAZEL_REMOTE_LDAP_USER_ATTRIBUTE"
	}
	name = strings.Replace(name, "gcs_proxy.", "gcs.", 1)
	return "BAZEL_REMOTE_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// refusedFlags builds the flags that refuse, hidden from --help.
func refusedFlags() []*kong.Flag {
	var flags []*kong.Flag
	for _, r := range refusals() {
		for _, name := range r.names {
			flags = append(flags, r.flag(name))
		}
	}
	return flags
}

func (r refusal) flag(name string) *kong.Flag {
	target := reflect.New(reflect.TypeFor[string]()).Elem()
	v := &kong.Value{
		Name:         name,
		Tag:          &kong.Tag{},
		Mapper:       r,
		Target:       target,
		DefaultValue: reflect.New(target.Type()).Elem(),
	}
	v.Flag = &kong.Flag{Value: v, Hidden: true}
	return v.Flag
}

// Decode takes a value that asks for nothing and refuses any other. A flag
// without a value is a boolean that is set.
func (r refusal) Decode(ctx *kong.DecodeContext, _ reflect.Value) error {
	if next := ctx.Scan.Peek(); next.Type == kong.FlagValueToken || next.Type == kong.UntypedToken {
		value := ctx.Scan.Pop().String()
		if value == "" || value == "false" || slices.Contains(r.inert, value) {
			return nil
		}
	}
	return fmt.Errorf("this setting of bazel-remote %s", r.instead)
}
