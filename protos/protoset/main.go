// Command protoset writes the descriptors of the server's services to
// reapi.protoset, in the directory it is run in, which is protos.
package main

import (
	"fmt"
	"os"

	"github.com/larder-build/larder/protos"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "protoset:", err)
		os.Exit(1)
	}
}

func write() error {
	set, err := protos.Protoset()
	if err != nil {
		return err
	}
	return os.WriteFile(protos.ProtosetFile, set, 0o644)
}
