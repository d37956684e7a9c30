// The registry of application images, for hosts whose distribution may have no package of it: images in a folder, accounts in a file.
package main

import (
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	// Otherwise it sends traces to whatever listens at port 4318 of its host, and complains where nothing does.
	if err := os.Setenv("OTEL_TRACES_EXPORTER", "none"); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
