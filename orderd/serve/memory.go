package serve

import (
	"math"
	"runtime/debug"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	// noLimit is what a pod may use of memory if nobody says (by GOMEMLIMIT): as much as small pods have.
	noLimit = 1 << 30
	// connectionBytes is more than a connection takes with a request whose body is not there yet.
	connectionBytes = 32 << 10
	// connectionsShare and bodiesShare are the parts of the memory that connections, and bodies that
	// are waited for, may take.
	connectionsShare, bodiesShare = 2, 4
)

// withMemory sets the limits that follow from the memory limit where the configuration does not.
func withMemory(c config.HTTP, memory int64) config.HTTP {
	if memory <= 0 || memory == math.MaxInt64 {
		memory = noLimit
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = int(max(memory/connectionsShare/connectionBytes, 1))
	}
	if c.MaxBodies == 0 {
		c.MaxBodies = int(max(memory/bodiesShare/int64(c.MaxBodyBytes), 1))
	}
	return c
}

// memoryLimit is the runtime's.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }
