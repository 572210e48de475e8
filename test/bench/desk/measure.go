package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	orders "github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/schema"
	"github.com/orderd-dev/orderd/orderd/sim/localdb"
	"github.com/orderd-dev/orderd/test/bench/internal/report"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

const (
	// bytesPerOrder is what the data set takes of the disk, with its indexes and the log that writing it needs.
	bytesPerOrder = 3_500
	// fewer orders are taken where the disk is too small for most.
	fewer = 3_000_000
	// refreshed is how many orders the table's following is measured by.
	refreshed = 20_000
)

// settings of the database: each commit is on disk before it answers.
var settings = []string{"fsync=on", "shared_buffers=1GB", "max_wal_size=4GB", "maintenance_work_mem=512MB"}

// sizes that are measured, up to most.
func sizes(most int64) []int64 {
	var out []int64
	for n := int64(100_000); n < most; n *= 10 {
		out = append(out, n)
	}
	return append(out, most)
}

// fits says how many orders the disk has room for.
func fits(o options) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(o.dir), &fs); err != nil {
		return 0, err
	}
	if free := int64(fs.Bavail) * fs.Bsize; o.most > fewer && free < o.most*bytesPerOrder {
		fmt.Printf("the disk has %d GB left, and %d orders take %d GB: %d are taken\n",
			free>>30, o.most, o.most*bytesPerOrder>>30, int64(fewer))
		return fewer, nil
	}
	return o.most, nil
}

func measure(ctx context.Context, o options) error {
	if err := os.MkdirAll(filepath.Dir(o.dir), 0o755); err != nil {
		return err
	}
	most, err := fits(o)
	if err != nil {
		return err
	}
	o.most = most
	rounds := report.Rounds{}
	for _, size := range sizes(most) {
		if err := measureSize(ctx, o, size, rounds); err != nil {
			return fmt.Errorf("%d orders: %w", size, err)
		}
	}
	rows := rounds.Fill(rows(sizes(most)))
	if err := report.Table(os.Stdout, rows); err != nil {
		return err
	}
	return report.Write(o.out, rows)
}

// measureSize has a database for each size, so that a run finds all of them.
func measureSize(ctx context.Context, o options, size int64, rounds report.Rounds) error {
	bin, err := localdb.FindPostgres()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(fmt.Sprintf("%s-%d", o.dir, size))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	port, err := testport.New()
	if err != nil {
		return err
	}
	server, err := localdb.Postgres{Bin: bin, Dir: dir, Port: port, Settings: settings}.Start(running)
	if err != nil {
		return err
	}
	if err := schema.Migrate(ctx, server.String(), slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	pool, err := database.Open(ctx, server.String(), 16)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := fill(ctx, pool, size, size); err != nil {
		return err
	}
	store, err := orders.NewStore(orders.Options{Pool: pool, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	service := desk.NewService(desk.Options{Pool: pool, Orders: store, Clock: func() time.Time { return newest }})
	for _, c := range calls {
		p99, n, err := repeat(ctx, o.phase, service, c, size)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("%9d orders  %-18s p99 %8.2f ms of %d\n", size, c.name, p99, n)
		rounds.Add(fmt.Sprintf("%s_p99_ms_%d", c.name, size), p99)
		if first := rounds[fmt.Sprintf("%s_p99_ms_100000", c.name)]; size == o.most && len(first) > 0 {
			rounds.Add(c.name+"_growth", p99/max(first[0], 1))
		}
	}
	rate, err := follow(ctx, pool, size)
	rounds.Add(fmt.Sprintf("follow_per_second_%d", size), rate)
	return err
}

// repeat a call, and say what one in a hundred takes longer than.
func repeat(ctx context.Context, phase time.Duration, s *desk.Service, c call, size int64) (float64, int, error) {
	r := rand.New(rand.NewPCG(1, 2))
	var took []time.Duration
	for began := time.Now(); time.Since(began) < phase || len(took) < 100; {
		some := someOrder(r, size, size)
		start := time.Now()
		if err := c.do(ctx, s, some); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()) / 1000, len(took), nil
}

// follow says how many orders a second the desk's table takes in, as its consumer does, by one worker.
func follow(ctx context.Context, pool *pgxpool.Pool, size int64) (float64, error) {
	n := min(refreshed, size)
	began := time.Now()
	for first := size - n; first < size; first += desk.Batch {
		var ids []uuid.UUID
		for i := first; i < min(first+desk.Batch, size); i++ {
			ids = append(ids, order(i, size).id)
		}
		err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error { return desk.Refresh(ctx, tx, ids) })
		if err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
