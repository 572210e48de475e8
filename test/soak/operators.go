package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/test/kit/testport"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

const (
	// The variables that make this program an operator.
	gatewayVariable = "ORDERD_SOAK_GATEWAY"
	metricsVariable = "ORDERD_SOAK_METRICS"
	versionVariable = "ORDERD_SOAK_VERSION"

	// leaseNamespace has the Lease of the operator that works.
	leaseNamespace = "orderd-system"
)

// operate is what this program does if it was started as an operator.
func operate() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return run.Run(ctx, run.Options{
		Config: &rest.Config{Host: os.Getenv(gatewayVariable), QPS: -1}, MetricsAddress: os.Getenv(metricsVariable),
		HealthAddress: "0", LeaderElection: true, Namespace: leaseNamespace, LeaseDuration: 9 * time.Second,
		RenewDeadline: 7 * time.Second, RetryPeriod: time.Second, Clock: time.Now,
		Version: os.Getenv(versionVariable), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// operator is one of the operator's processes, of which one leads.
type operator struct {
	process *testproc.Process
	metrics string
	paused  bool
	starts  int
}

func newOperator(name, gateway string, log io.Writer) (*operator, error) {
	address, err := testport.Address()
	if err != nil {
		return nil, err
	}
	return &operator{metrics: address, process: &testproc.Process{
		Name: name, Log: log, Env: []string{gatewayVariable + "=" + gateway, metricsVariable + "=" + address},
	}}, nil
}

// start it, unless it runs, as one of two versions in turn.
func (o *operator) start() error {
	if !o.process.Alive() {
		o.starts++
	}
	return o.process.Start(versionVariable + "=" + strconv.Itoa(1+o.starts%2) + ".0.0")
}

func (o *operator) pause() {
	o.process.Pause()
	o.paused = true
}

func (o *operator) resume() {
	o.process.Resume()
	o.paused = false
}

func (o *operator) kill() {
	o.process.Kill()
	o.paused = false
}

// end it as Kubernetes does at first.
func (o *operator) end() {
	o.resume()
	o.process.Interrupt()
}

// figures of the process: of its metrics those that grow if something leaks.
func (o *operator) figures(ctx context.Context) (goroutines, files int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.metrics+"/metrics", http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_goroutines":
			goroutines, err = strconv.Atoi(value)
		case "process_open_fds":
			files, err = strconv.Atoi(value)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return goroutines, files, lines.Err()
}
