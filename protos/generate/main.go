// Command generate writes the Go code of the project's .proto files beside
// them. It is run in the directory protos. The plugins that write the code are
// those pinned in .ci/tools.mod; protoc is not needed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := generate(ctx, ".", "."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
