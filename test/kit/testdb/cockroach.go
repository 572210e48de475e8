package testdb

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cockroachdb/cockroach-go/v2/testserver"

	"github.com/orderd-dev/orderd/orderd/sim/localdb"
)

// manyTables are settings for a server on which tables are made and dropped all the time, as
// CockroachDB's documentation has them for tests.
var manyTables = []string{
	"SET CLUSTER SETTING kv.range_merge.queue_interval = '50ms'",
	"SET CLUSTER SETTING kv.range_split.by_load_merge_delay = '5s'",
	"SET CLUSTER SETTING jobs.registry.interval.gc = '30s'",
	"SET CLUSTER SETTING jobs.registry.interval.cancel = '180s'",
	"SET CLUSTER SETTING jobs.retention_time = '15s'",
	"SET CLUSTER SETTING sql.stats.automatic_collection.enabled = false",
	`ALTER RANGE default CONFIGURE ZONE USING "gc.ttlseconds" = 600`,
	`ALTER DATABASE system CONFIGURE ZONE USING "gc.ttlseconds" = 600`,
}

func startCockroach(binary string) (*url.URL, error) {
	ts, err := testserver.NewTestServer(testserver.CockroachBinaryPathOpt(binary))
	if err != nil {
		return nil, fmt.Errorf("starting CockroachDB: %w", err)
	}
	pid, err := childWith(ts.BaseDir())
	if err != nil {
		ts.Stop()
		return nil, err
	}
	if err := localdb.WithProcess(strconv.Itoa(pid), ts.BaseDir()); err != nil {
		ts.Stop()
		return nil, err
	}
	for _, setting := range manyTables {
		// A version that lacks one is slower, and no more than that.
		if err := execute(ts.PGURL(), setting); err != nil {
			fmt.Fprintf(os.Stderr, "testdb: %s: %v\n", setting, err)
		}
	}
	return ts.PGURL(), nil
}

// childWith finds this process's child whose command line names the folder.
func childWith(dir string) (int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	parent := []byte(strconv.Itoa(os.Getpid()))
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// "pid (name) state ppid …"; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 || !bytes.Equal(fields[1], parent) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil && bytes.Contains(line, []byte(dir)) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, fmt.Errorf("no child process for %s", dir)
}
