package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// TestMain is a NATS server or a pod when the test binary has started itself again.
func TestMain(m *testing.M) {
	testnats.RunNode()
	runPod()
	os.Exit(m.Run())
}

// seeds of every test run: killed and paused pods, servers and database, cut connections, a skewed
// clock. Those that take longer, such as the loss of everything, are left to runs of the program.
var seeds = []uint64{1, 3, 4, 6, 7, 45}

func TestSalesGoAsTheyMustWhateverFails(t *testing.T) {
	dir := t.TempDir()
	w, err := newWorld(t.Context(), dir)
	if w != nil {
		defer w.stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range seeds {
		v := w.seed(t.Context(), seed, false)
		t.Log(v)
		if len(v.violated) == 0 {
			continue
		}
		folder, err := os.MkdirTemp("", fmt.Sprintf("orderd-chaos-seed-%d-", seed))
		if err == nil {
			err = w.keep(v, folder)
		}
		t.Errorf("seed %d failed: what is known of it is in %s (%v); again: go run ./test/chaos -seeds %d:1", seed, folder,
			err, seed)
	}
}

func TestASeedIsAlwaysTheSamePlan(t *testing.T) {
	others := 0
	for seed := range uint64(200) {
		a, b := newPlan(seed), newPlan(seed)
		if a.String() != b.String() || cmp.Diff(fmt.Sprint(a.faults), fmt.Sprint(b.faults)) != "" {
			t.Errorf("seed %d: %v %v and %v %v", seed, a, a.faults, b, b.faults)
		}
		if a.String() != newPlan(seed+1).String() {
			others++
		}
	}
	if others < 190 {
		t.Errorf("%d of 200 plans differ from the next", others)
	}
}

func TestParseSeeds(t *testing.T) {
	for _, test := range []struct {
		in    string
		first uint64
		count int
		ok    bool
	}{
		{"7:3", 7, 3, true}, {"7", 7, 1, true}, {"7:0", 0, 0, false}, {"x:1", 0, 0, false}, {"", 0, 0, false},
		{"1:y", 0, 0, false},
	} {
		first, count, err := parseSeeds(test.in)
		if (err == nil) != test.ok || first != test.first || count != test.count {
			t.Errorf("%q: %d, %d, %v", test.in, first, count, err)
		}
	}
}

// echo answers each line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// say a line and read the answer.
func say(conn net.Conn, patience time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x\n")); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

func TestProxyWeather(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p, err := newProxy(ctx, "127.0.0.1:1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	conn := dial()
	if err := say(conn, 5*time.Second); err != nil {
		t.Errorf("fair: %v", err)
	}
	p.set(slow)
	begun := time.Now()
	if err := say(conn, 5*time.Second); err != nil || time.Since(begun) < 2*slowBy {
		t.Errorf("slow: %v after %s", err, time.Since(begun))
	}
	p.set(halfOpen)
	if err := say(conn, 200*time.Millisecond); err == nil {
		t.Error("half open: answered")
	}
	if err := say(dial(), 200*time.Millisecond); err == nil {
		t.Error("half open: a new connection is answered")
	}
	p.set(fair)
	if err := say(conn, 5*time.Second); err == nil {
		t.Error("a connection that was half open healed")
	}
	conn = dial()
	if err := say(conn, 5*time.Second); err != nil {
		t.Errorf("fair again: %v", err)
	}
	p.set(cut)
	if err := say(conn, 5*time.Second); err == nil {
		t.Error("cut: answered")
	}
	if err := say(dial(), 5*time.Second); err == nil {
		t.Error("cut: a new connection is answered")
	}
}
