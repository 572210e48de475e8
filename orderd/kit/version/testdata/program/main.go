// Command program prints its version, so that a test sees what the linker has set.
package main

import (
	"fmt"

	"github.com/orderd-dev/orderd/orderd/kit/version"
)

func main() { fmt.Println(version.String()) }
