package backends

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// freezer stands before a server. While it is frozen it takes connections and what is sent, and brings
// nothing.
type freezer struct {
	listener net.Listener
	target   string
	// taken counts the connections.
	taken atomic.Int32

	mu     sync.Mutex
	thawed chan struct{}
	conns  []net.Conn
}

// newFreezer has no server behind it if target is empty, and is frozen then.
func newFreezer(t *testing.T, target string) *freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{listener: l, target: target, thawed: make(chan struct{})}
	if target != "" {
		close(f.thawed)
	}
	go f.accept()
	t.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, c := range f.conns {
			_ = c.Close()
		}
	})
	return f
}

func (f *freezer) address() string { return f.listener.Addr().String() }

func (f *freezer) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.thawed = make(chan struct{})
}

func (f *freezer) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.thawed)
}

func (f *freezer) wait() {
	f.mu.Lock()
	thawed := f.thawed
	f.mu.Unlock()
	<-thawed
}

func (f *freezer) keep(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, c)
}

func (f *freezer) accept() {
	for {
		from, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.taken.Add(1)
		f.keep(from)
		if f.target == "" {
			continue
		}
		go func() {
			f.wait()
			to, err := net.Dial("tcp", f.target)
			if err != nil {
				_ = from.Close()
				return
			}
			f.keep(to)
			go f.copy(to, from)
			f.copy(from, to)
		}()
	}
}

func (f *freezer) copy(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		f.wait()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
