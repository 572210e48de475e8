package serve

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sampled is how many idle connections are compared to find one to close. The longest idle of so many
// is nearly the longest idle of all, and costs the same however many there are.
const sampled = 64

// connections bounds how many connections a listener has at once. When there are as many as may be,
// a new one takes the place of one that has been idle for the longest, so that callers who hold
// connections and ask nothing do not keep others out; while all are at work, it waits.
type connections struct {
	*net.TCPListener

	most  int
	clock func() time.Time

	mu      sync.Mutex
	changed *sync.Cond
	open    map[*connection]struct{}
	closed  bool
	// waits says that a new connection waits for one to become idle or to close.
	waits atomic.Bool
}

// connection is one of connections.
type connection struct {
	*net.TCPConn

	// idleSince is when it began to have no request, by the clock in nanoseconds; 0 while it has one.
	idleSince atomic.Int64
}

func newConnections(l *net.TCPListener, most int, clock func() time.Time) *connections {
	c := &connections{TCPListener: l, most: most, clock: clock, open: make(map[*connection]struct{})}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Accept is net.Listener's.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.AcceptTCP()
	if err != nil {
		return nil, err
	}
	mine := &connection{TCPConn: conn}
	mine.idleSince.Store(c.clock().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.makeRoom() {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.open[mine] = struct{}{}
	return mine, nil
}

// makeRoom waits until there is room for one more, and tells whether there ever will be. It is called
// with mu held.
func (c *connections) makeRoom() bool {
	// Before it looks: whoever becomes idle from now on says so.
	c.waits.Store(true)
	defer c.waits.Store(false)
	for !c.closed && len(c.open) >= c.most {
		if oldest := c.longestIdle(); oldest != nil {
			delete(c.open, oldest)
			_ = oldest.Close()
			continue
		}
		c.changed.Wait()
	}
	return !c.closed
}

// longestIdle of the connections, or of many of them; nil if all are at work.
func (c *connections) longestIdle() *connection {
	var oldest *connection
	var since int64
	seen := 0
	for conn := range c.open {
		idle := conn.idleSince.Load()
		if idle == 0 {
			continue
		}
		if oldest == nil || idle < since {
			oldest, since = conn, idle
		}
		if seen++; seen == sampled {
			break
		}
	}
	return oldest
}

// state is the server's http.Server.ConnState. A connection is at work from the end of a request's
// head to the end of its answer.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	mine, ok := conn.(*connection)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		mine.idleSince.Store(0)
	case http.StateIdle:
		mine.idleSince.Store(c.clock().UnixNano())
		if c.waits.Load() {
			c.change(nil)
		}
	case http.StateClosed, http.StateHijacked:
		c.change(mine)
	default:
	}
}

// change wakes who waits. A connection that is gone makes room; nil is none.
func (c *connections) change(gone *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, gone)
	c.changed.Broadcast()
}

// Close is net.Listener's.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.TCPListener.Close()
}
