// Permissions writes what a NATS administrator gives the roles of an OrderCluster: a part of a server's
// configuration, and commands for nsc.
//
//	go run ./hack/tools/permissions config/nats
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orderd-dev/orderd/orderd/sale/permissions"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "permissions:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: permissions FOLDER")
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[0], "permissions.conf"), []byte(permissions.Conf()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(args[0], "users.sh"), []byte(permissions.NSC()), 0o755)
}
