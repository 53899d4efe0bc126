// Command larder is a build cache server: the Remote Execution API v2's
// ContentAddressableStorage, ActionCache, ByteStream and Capabilities over
// gRPC, and Bazel's HTTP cache protocol, on a disk of its own.
//
// This package only wires. Every setting is one field of Settings; cmd_serve.go
// builds the store, the caches on it and the listeners from them.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// The exit codes of every command. docs/operations.md lists them.
const (
	exitOK      = 0
	exitFailure = 1 // something failed while running
	exitUsage   = 2 // the command line, a variable or the configuration file is wrong
)

// usageError is a mistake in what the user has set.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// heapFloor is how much garbage in bytes there may be before it is collected,
// however little is alive. The index and the blobs are not on Go's heap, so
// little is, and the collector would run dozens of times a second.
const heapFloor = 32 << 20

func main() {
	// Memory that nobody touches costs no memory, but counts for the collector.
	floor := make([]byte, heapFloor)
	code := run(os.Args[1:], system{
		environ: os.Environ(),
		stdout:  os.Stdout,
		stderr:  os.Stderr,
	})
	runtime.KeepAlive(floor)
	os.Exit(code)
}

// system is what a command has of the process it runs in.
type system struct {
	environ        []string
	stdout, stderr io.Writer
}

// run runs one command line to its end and returns the exit code.
func run(args []string, sys system) int {
	err := runCommand(args, sys)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(sys.stderr, "larder: %v\n", err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(sys.stderr, "hint: \"larder --help\" lists the settings, \"larder config\" shows what is in force\n")
		return exitUsage
	}
	return exitFailure
}

func runCommand(args []string, sys system) error {
	cfg, err := parse(args, sys)
	if err != nil {
		return usageError{err}
	}
	switch cfg.command {
	case "config":
		return cmdConfig(cfg, sys)
	case "scrub":
		return cmdScrub(cfg, sys)
	case "version":
		return cmdVersion(sys)
	default:
		return cmdServe(cfg, sys)
	}
}
