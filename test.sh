#!/usr/bin/env bash
# Checks everything: formatting, vet, linters, go.mod, known vulnerabilities,
# unit tests under the race detector, and the end-to-end tests with real
# clients. Installs what it needs, as root; otherwise says what is missing.
#
#   ./test.sh           all of it, about ten minutes on two cores
#   ./test.sh -short    no end-to-end tests: needs nothing but Go and a C compiler
set -euo pipefail
cd "$(dirname "$0")"

short=
[ "${1:-}" = -short ] && short=1

step() { printf '\n== %s\n' "$*"; }

# need COMMAND PACKAGE... installs Debian's packages if there is no such command.
need() {
	command -v "$1" >/dev/null && return
	local command=$1
	shift
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "test.sh: $command is missing: apt-get install $*" >&2
		exit 1
	fi
	[ -n "${updated:-}" ] || apt-get update -qq
	updated=1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

tool() { go tool -modfile=.ci/tools.mod "$@"; }

step "what the tests need"
command -v go >/dev/null || { echo "test.sh: Go is missing: install Go 1.26 from https://go.dev/dl/" >&2; exit 1; }
go version
need gcc gcc libc6-dev # the race detector is linked by it
need git git
if [ -z "$short" ]; then
	need curl curl
	need npm npm
	./scripts/install-bazel.sh
	./scripts/install-old-bazel.sh
fi

step "gofmt, go vet, go mod tidy"
unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$unformatted" ] || { echo "gofmt -w is due in:" $unformatted >&2; exit 1; }
go vet ./...
go mod tidy -diff
go mod verify

step "golangci-lint"
tool golangci-lint run --allow-serial-runners # another checkout may be at it

step "govulncheck"
# The list of known vulnerabilities is on the net; where that cannot be
# reached, this check cannot be done.
if timeout 5 bash -c ': </dev/tcp/vuln.go.dev/443' 2>/dev/null; then
	tool govulncheck ./...
else
	echo "left out: vuln.go.dev cannot be reached from here"
fi

step "unit tests"
# shellcheck disable=SC2046 # one word a package
go test ${short:+-short} -race -timeout 10m $(go list ./... | grep -v /e2e$)

if [ -z "$short" ]; then
	step "end-to-end tests"
	# -count=1: they try programs that Go's test cache does not see.
	go test -v -count=1 -timeout 25m ./e2e
fi
