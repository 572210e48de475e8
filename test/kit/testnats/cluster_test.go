package testnats_test

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// TestMain is a server of a cluster when the test binary has started itself again.
func TestMain(m *testing.M) {
	testnats.RunNode()
	os.Exit(m.Run())
}

func TestAClusterOutlivesEachOfItsServers(t *testing.T) {
	c, err := testnats.StartCluster(t.TempDir(), 3, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	conn, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine the servers may still be choosing who leads.
	eventually(t, func(ctx context.Context) bool {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}, Replicas: 3})
		return err == nil
	})
	for i, node := range c.Nodes {
		node.Kill()
		publish(t, js)
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		if !node.Alive() {
			t.Errorf("server %d does not run", i)
		}
		// The next may go once this one has what was written without it.
		eventually(t, func(ctx context.Context) bool {
			s, err := js.Stream(ctx, "s")
			if err != nil || s.CachedInfo().Cluster == nil {
				return false
			}
			for _, r := range s.CachedInfo().Cluster.Replicas {
				if !r.Current || r.Offline {
					return false
				}
			}
			return len(s.CachedInfo().Cluster.Replicas) == 2
		})
	}
}

func publish(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, func(ctx context.Context) bool {
		_, err := js.Publish(ctx, "s", nil)
		return err == nil
	})
}

func eventually(t *testing.T, holds func(context.Context) bool) {
	t.Helper()
	for range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		ok := holds(ctx)
		cancel()
		if ok {
			return
		}
		timer := time.NewTimer(100 * time.Millisecond)
		<-timer.C
	}
	t.Fatal("not within 30 s")
}
