package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// weather of a proxy.
type weather int32

const (
	// fair weather passes everything on.
	fair weather = iota
	// cut ends connections and takes no new ones.
	cut
	// halfOpen keeps connections, takes new ones, and passes nothing on.
	halfOpen
	// slow passes on what comes after a delay.
	slow
)

// slowBy is the delay of slow weather, each way and chunk.
const slowBy = 60 * time.Millisecond

// proxy is a TCP proxy on a loopback port, between a client and one of several
// servers that do the same.
type proxy struct {
	address string
	targets []string

	listener net.Listener
	next     atomic.Uint32
	weather  atomic.Int32

	mu sync.Mutex
	// changed is closed at the next change of weather.
	changed chan struct{}
	conns   map[net.Conn]bool
}

func newProxy(ctx context.Context, targets ...string) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &proxy{
		address:  l.Addr().String(),
		targets:  targets,
		listener: l,
		changed:  make(chan struct{}),
		conns:    map[net.Conn]bool{},
	}
	context.AfterFunc(ctx, func() {
		_ = l.Close()
		p.set(cut)
	})
	go p.accept()
	return p, nil
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go p.serve(conn)
		}
	}
}

// set the weather, from now on and for the connections that there are.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// What was half open has lost its bytes: such a connection never heals.
	broken := w == cut || weather(p.weather.Load()) == halfOpen
	p.weather.Store(int32(w))
	close(p.changed)
	p.changed = make(chan struct{})
	if !broken {
		return
	}
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxy) serve(client net.Conn) {
	p.keep(client)
	defer p.drop(client)
	if weather(p.weather.Load()) == cut {
		return
	}
	server, err := p.dial()
	if err != nil {
		return
	}
	p.keep(server)
	defer p.drop(server)
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			p.copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// dial the next server that answers.
func (p *proxy) dial() (net.Conn, error) {
	first := int(p.next.Add(1))
	err := errors.New("no server")
	for i := range p.targets {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", p.targets[(first+i)%len(p.targets)], time.Second); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (p *proxy) copy(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.pass(buffer[:n], to) {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				if c, ok := to.(*net.TCPConn); ok {
					_ = c.CloseWrite()
				}
			}
			return
		}
	}
}

// pass data on as the weather has it; false ends the connection.
func (p *proxy) pass(data []byte, to net.Conn) bool {
	p.mu.Lock()
	w, changed := weather(p.weather.Load()), p.changed
	p.mu.Unlock()
	switch w {
	case cut:
		return false
	case halfOpen:
		<-changed
		return false
	case slow:
		delay := time.NewTimer(slowBy)
		defer delay.Stop()
		<-delay.C
	}
	_, err := to.Write(data)
	return err == nil
}
