package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/serve"
)

const (
	noop = "noop"
	// startWithin is how long a server may take until it is ready.
	startWithin = 30 * time.Second
	// clockTick is the unit of CPU times in /proc: a hundredth of a second on every Linux that Go runs on.
	clockTick = 10 * time.Millisecond
)

// nothing is the handler that does nothing.
type nothing struct {
	orderv1connect.UnimplementedOrderServiceHandler
}

func (nothing) PlaceOrder(context.Context, *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	return &orderv1.PlaceOrderResponse{}, nil
}

// serveChild is what a child process does: the handler that does nothing, or a pod of the standard role as a
// cluster runs it.
func serveChild(ctx context.Context, what string) error {
	if what != noop {
		c, err := config.Load(what)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		return serve.Run(ctx, serve.Options{Role: config.RoleStandard, Config: c, Name: "bench", Version: "bench", Log: log})
	}
	server := connect.NewServer()
	orderv1connect.RegisterOrderServiceHandler(server, nothing{})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	s := &http.Server{Handler: mux, ReadHeaderTimeout: startWithin}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// child is a server in a process of its own.
type child struct {
	url string
	cmd *exec.Cmd
}

func startNoop(ctx context.Context) (*child, error) {
	c, out, err := start(ctx, noop)
	if err != nil {
		return nil, err
	}
	if !out.Scan() {
		c.stop()
		return nil, errors.New("the handler that does nothing did not start")
	}
	c.url = "http://" + out.Text()
	return c, nil
}

// startPod starts a pod and waits until it is ready.
func startPod(ctx context.Context, configFile, address, admin string) (*child, error) {
	c, _, err := start(ctx, configFile)
	if err != nil {
		return nil, err
	}
	c.url = "http://" + address
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready(ctx, "http://"+admin+"/readyz") {
			return c, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.stop()
			return nil, errors.New("the pod did not become ready")
		}
	}
}

func start(ctx context.Context, what string) (*child, *bufio.Scanner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-child="+what)
	cmd.Stderr = os.Stderr
	// As the operator starts a pod with 512 MiB.
	cmd.Env = append(os.Environ(), "GOGC=400", "GOMEMLIMIT=460MiB")
	// A child does not outlive this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = startWithin
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting %s: %w", what, err)
	}
	return &child{cmd: cmd}, bufio.NewScanner(out), nil
}

func ready(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode == http.StatusOK
}

func (c *child) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // Killed.
}

// cpu is the time that the process has had of all cores.
func (c *child) cpu() (time.Duration, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// "pid (name) state ppid …": utime and stime are the 12th and 13th after the name.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("unexpected /proc stat %q", raw)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}
