package testnats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/test/kit/testport"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

const (
	// nodeVariable tells a child process which server of a cluster it is.
	nodeVariable = "ORDERD_TEST_NATS_NODE"
	clusterName  = "orderd-test"
	// clusterTimeout bounds how long a cluster may take until its JetStream has a leader.
	clusterTimeout = 60 * time.Second
	clusterTick    = 50 * time.Millisecond
)

// Cluster is several NATS servers with JetStream, each a process of its own with a store of its
// own. Every write is fsynced by most of them before it is acknowledged. The program that makes one
// calls RunNode first thing in main, or TestMain.
type Cluster struct {
	// Nodes in the order of their names, n1, n2 and so on.
	Nodes []*Node
}

// Node is one server of a Cluster.
type Node struct {
	*testproc.Process
	// Address is the host:port for clients; it stays the same over restarts. Servers do not tell
	// clients of each other.
	Address string
}

// node is what a child process is told.
type node struct {
	Name, Store string
	Port, Route int
	Routes      []string
}

// RunNode is a server of a cluster, if this process was started as one, and does not return then.
func RunNode() {
	raw := os.Getenv(nodeVariable)
	if raw == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "nats:", runNode(raw))
	os.Exit(1)
}

func runNode(raw string) error {
	var n node
	if err := json.Unmarshal([]byte(raw), &n); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port,
		JetStream: true, StoreDir: n.Store, SyncAlways: true,
		Cluster: server.ClusterOpts{Name: clusterName, Host: "127.0.0.1", Port: n.Route, NoAdvertise: true},
		NoSigs:  true, LogFile: filepath.Join(n.Store, "log"), Logtime: true,
	}
	for _, route := range n.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, u)
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("configuring NATS: %w", err)
	}
	srv.ConfigureLogger()
	srv.Start()
	srv.WaitForShutdown()
	return errors.New("the server ended")
}

// StartCluster starts size servers with their stores below dir. They end with this
// process, or by Stop.
func StartCluster(dir string, size int, log io.Writer) (*Cluster, error) {
	nodes := make([]node, size)
	ports := make([]int, 2*size)
	for i := range ports {
		var err error
		if ports[i], err = testport.New(); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		name := "n" + strconv.Itoa(i+1)
		nodes[i] = node{Name: name, Store: filepath.Join(dir, name), Port: ports[2*i], Route: ports[2*i+1]}
		if err := os.MkdirAll(nodes[i].Store, 0o700); err != nil {
			return nil, err
		}
	}
	c := &Cluster{}
	for i := range nodes {
		for j := range nodes {
			nodes[i].Routes = append(nodes[i].Routes, "nats-route://"+address(nodes[j].Route))
		}
		raw, err := json.Marshal(nodes[i])
		if err != nil {
			return nil, err
		}
		n := &Node{
			Process: &testproc.Process{Name: nodes[i].Name, Env: []string{nodeVariable + "=" + string(raw)}, Log: log},
			Address: address(nodes[i].Port),
		}
		c.Nodes = append(c.Nodes, n)
		if err := n.Start(); err != nil {
			c.Stop()
			return nil, err
		}
	}
	if err := c.Ready(context.Background()); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// URL names all servers.
func (c *Cluster) URL() string {
	var all string
	for i, n := range c.Nodes {
		if i > 0 {
			all += ","
		}
		all += "nats://" + n.Address
	}
	return all
}

// Stop kills all servers.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// Ready waits until JetStream answers.
func (c *Cluster) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	conn, err := nats.Connect(c.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(clusterTick))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(time.Second))
	if err != nil {
		return err
	}
	tick := time.NewTicker(clusterTick)
	defer tick.Stop()
	for {
		// A question that came before there was a leader is never answered.
		once, done := context.WithTimeout(ctx, time.Second)
		_, err = js.AccountInfo(once)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the NATS cluster has no JetStream: %w", err)
		}
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
