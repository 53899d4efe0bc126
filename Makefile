# Thin doors to go; what CI runs is test.sh.

.PHONY: build test short lint fmt generate bench

build: ; go build -o bin/ ./server
test: ; ./test.sh
short: ; go test -short ./...
lint: ; go tool -modfile=.ci/tools.mod golangci-lint run
fmt: ; go tool -modfile=.ci/tools.mod golangci-lint fmt
generate: ; go generate ./...
bench: ; go run ./bench
