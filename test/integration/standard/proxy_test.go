package standard_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// proxy stands between a process and its database, and can be cut.
type proxy struct {
	url, target string
	listener    net.Listener

	mu    sync.Mutex
	away  bool
	conns map[net.Conn]struct{}
	// onSend sees what goes to the database before it does; false cuts the connection after it went.
	onSend func([]byte) bool
}

func newProxy(databaseURL string) *proxy {
	GinkgoHelper()
	u, err := url.Parse(databaseURL)
	Expect(err).NotTo(HaveOccurred())
	p := &proxy{target: u.Host, conns: map[net.Conn]struct{}{}}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	u.Host = p.listener.Addr().String()
	p.url = u.String()
	go p.accept()
	DeferCleanup(func() {
		_ = p.listener.Close()
		p.cut()
	})
	return p
}

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(from, to) {
			_ = from.Close()
			continue
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = io.Copy(from, to)
			_ = from.Close()
		}()
		go p.forward(from, to, answered)
	}
}

func (p *proxy) forward(from, to net.Conn, answered <-chan struct{}) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		goOn := p.onSend == nil || p.onSend(bytes.ToLower(buffer[:n]))
		p.mu.Unlock()
		if !goOn {
			// The answer does not come back, but the statement is executed. Copying ends at
			// the answer, and with it the connection, so that the database gives up a
			// transaction that is still open.
			_ = from.Close()
			_, _ = to.Write(buffer[:n])
			<-answered
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

// cut ends all connections and lets none in.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// mend lets connections in again.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

// losing cuts the next connection that sends the text, after the database got it.
func (p *proxy) losing(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onSend = func(sent []byte) bool {
		if !bytes.Contains(sent, []byte(text)) {
			return true
		}
		p.onSend = nil
		return false
	}
}
