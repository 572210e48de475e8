package main

import (
	"io"
	"net"
	"sync"
)

// pipe is a TCP proxy on a loopback port to one server. It can be cut, and be stuffed: then connections are there, and
// nothing comes through.
type pipe struct {
	address  string
	target   string
	listener net.Listener

	mu sync.Mutex
	// mu guards what follows. stuffed is closed when bytes come through again; nil: they do.
	closed  bool
	stuffed chan struct{}
	// conns are both sides' connections, those of clients with true; most of those were open at once.
	conns map[net.Conn]bool
	most  int
}

func newPipe(target string) (*pipe, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pipe{address: l.Addr().String(), target: target, listener: l, conns: map[net.Conn]bool{}}
	go p.accept()
	return p, nil
}

func (p *pipe) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(conn)
	}
}

// cut ends all connections and takes no new ones.
func (p *pipe) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.end()
}

// stuff lets nothing through.
func (p *pipe) stuff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stuffed == nil {
		p.stuffed = make(chan struct{})
	}
}

// fair passes everything on. Connections that were stuffed have lost bytes, and are ended.
func (p *pipe) fair() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
	if p.stuffed != nil {
		p.end()
		close(p.stuffed)
		p.stuffed = nil
	}
}

func (p *pipe) end() {
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *pipe) stop() {
	_ = p.listener.Close()
	p.cut()
	p.fair()
}

// count of the connections that clients have.
func (p *pipe) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open()
}

func (p *pipe) open() int {
	n := 0
	for _, client := range p.conns {
		if client {
			n++
		}
	}
	return n
}

// takeMost is how many connections clients had at once since it was asked last.
func (p *pipe) takeMost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.most
	p.most = p.open()
	return most
}

// keep a connection, unless none is taken.
func (p *pipe) keep(c net.Conn, client bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = client
	p.most = max(p.most, p.open())
	return true
}

func (p *pipe) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *pipe) serve(client net.Conn) {
	if !p.keep(client, true) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(server, false) {
		return
	}
	defer p.drop(server)
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(&held{way[0], p}, way[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// held is a connection that is written to unless the pipe is stuffed.
type held struct {
	net.Conn
	pipe *pipe
}

func (h *held) Write(b []byte) (int, error) {
	h.pipe.mu.Lock()
	stuffed := h.pipe.stuffed
	h.pipe.mu.Unlock()
	if stuffed != nil {
		<-stuffed
	}
	return h.Conn.Write(b)
}
