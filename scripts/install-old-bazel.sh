#!/usr/bin/env bash
# Prints the path of Bazel 2.1.0, installing it from npm into the cache folder
# first if it is not there. It stands for the old clients, which name no digest
# function in their requests.
#
#   TEST_CACHE  the cache folder, default ~/.cache/larder-test
set -euo pipefail

readonly version=2.1.0
cache=${TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/larder-test}
mkdir -p "$cache"
home=$(cd "$cache" && pwd)/bazel-$version
program=$home/node_modules/@bazel/bazel-linux_x64/bazel-$version-linux-x86_64

exec 9>"$cache/old-bazel.lock"
flock 9
if [ ! -x "$program" ]; then
	command -v npm >/dev/null || { echo "install-old-bazel: npm is missing: apt-get install npm" >&2; exit 1; }
	npm install --silent --no-fund --no-audit --no-package-lock --prefix "$home" "@bazel/bazel-linux_x64@$version" >&2
fi
[ -x "$program" ] || { echo "install-old-bazel: npm left no $program" >&2; exit 1; }
echo "$program"
