// Command docs writes the pages of docs/ that are generated: the states from the life cycles'
// tables, and the reasons of errors from the protos' comments. It reads buf's image of the protos,
// with source info, from standard input:
//
//	buf build api -o - | go run ./hack/tools/docs docs
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run(args []string, image io.Reader) error {
	if len(args) != 1 {
		return fmt.Errorf("want the folder to write to, got %d arguments", len(args))
	}
	raw, err := io.ReadAll(image)
	if err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	rpcs, err := rpcsOf(raw)
	if err != nil {
		return err
	}
	reasons, err := readReasons(reasonsFile)
	if err != nil {
		return err
	}
	errors, err := errorsPage(rpcs, reasons)
	if err != nil {
		return err
	}
	for name, page := range map[string]string{"states.md": statesPage(), "errors.md": errors} {
		if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
