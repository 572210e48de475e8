package backends

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// line is the connection to one OrderCluster's NATS by one set of settings.
type line struct {
	url, creds string
	tls        secured
	gate       *gate
	flight     singleflight.Group
	// time is JetStream's; asking: somebody measures it.
	time   *sale.ServerClock
	asking atomic.Bool

	mu sync.Mutex
	// mu guards what follows. conn and js are nil until the connection is made.
	conn   *nats.Conn
	js     jetstream.JetStream
	closed bool
	// owner is whom the account is known to be stamped with, if that is this OrderCluster; former the UID
	// of one of the same name that is no more, whose stamp it takes over.
	owner  sale.Owner
	former string
}

// JetStream returns the OrderCluster's JetStream over a connection that was made once and reconnects by
// itself. The account is stamped as the OrderCluster's. Errors are *Error, or of the Kubernetes API.
func (r *Registry) JetStream(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error) {
	l, err := r.line(ctx, c)
	if err != nil {
		return nil, err
	}
	js, err := r.through(ctx, c, l)
	if err != nil {
		return nil, err
	}
	if !l.isOwner(c) {
		if err := l.claim(ctx, c, js); err != nil {
			return nil, err
		}
	}
	return js, nil
}

// unstamped is JetStream, and leaves the account as it is.
func (r *Registry) unstamped(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error) {
	l, err := r.line(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.through(ctx, c, l)
}

// through the gate to the line's JetStream.
func (r *Registry) through(ctx context.Context, c *v1alpha1.OrderCluster, l *line) (jetstream.JetStream, error) {
	if err := l.gate.enter(time.Now()); err != nil {
		return nil, err
	}
	brief, cancel := context.WithTimeoutCause(ctx, r.limits.patience, errConnecting)
	defer cancel()
	js, err := r.connected(brief, c, l)
	if err != nil {
		if errors.Is(context.Cause(brief), errConnecting) {
			// Whoever comes while the connection is made, and takes long, does not wait as well.
			l.gate.failed(time.Now(), err)
		}
		return nil, err
	}
	return js, nil
}

// line of the OrderCluster by its settings as they are now.
func (r *Registry) line(ctx context.Context, c *v1alpha1.OrderCluster) (*line, error) {
	var creds string
	if ref := c.MessagingCredentials(v1alpha1.RoleOperator); ref != nil {
		var err error
		if creds, err = r.secret(ctx, c.Namespace, *ref); err != nil {
			return nil, err
		}
	}
	tls, err := r.secured(ctx, c, c.Spec.Messaging.CASecretRef, c.Spec.Messaging.ClientCertificateSecretRef)
	if err != nil {
		return nil, err
	}
	e := r.entry(client.ObjectKeyFromObject(c))
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.line
	if old != nil && old.url == c.Spec.Messaging.URL && old.creds == creds && old.tls.sum == tls.sum {
		return old, nil
	}
	e.line = newLine(c, creds, tls, r.limits.request)
	if old != nil {
		e.line.former = old.formerUID()
		if old.url == e.line.url {
			// The same servers, with another login.
			e.line.time = old.time
		}
		go old.close()
	}
	return e.line, nil
}

func newLine(c *v1alpha1.OrderCluster, creds string, tls secured, patience time.Duration) *line {
	// Whoever brought it goes on to change it.
	c = c.DeepCopy()
	l := &line{url: c.Spec.Messaging.URL, creds: creds, tls: tls, time: &sale.ServerClock{}}
	l.gate = &gate{patience: patience, silent: func() error {
		return unanswered(c, l.connection(), context.DeadlineExceeded)
	}}
	return l
}

// unanswered puts into a condition's words what a request to JetStream failed with.
func unanswered(c *v1alpha1.OrderCluster, conn *nats.Conn, err error) error {
	if conn == nil || !conn.IsConnected() {
		var last error
		if conn != nil {
			last = conn.LastError()
		}
		return messagingError(c, errors.Join(nats.ErrNoServers, last))
	}
	return jetStreamError(c, err)
}

var (
	errConnecting = errors.New("it has not answered yet")
	errReplaced   = errors.New("the settings changed while it was connected to")
)

// connected returns the line's JetStream. Callers who come while the connection is made wait for the same
// one, each for as long as its own context lasts.
func (r *Registry) connected(ctx context.Context, c *v1alpha1.OrderCluster, l *line) (jetstream.JetStream, error) {
	if js := l.open(); js != nil {
		return js, nil
	}
	// The attempt may outlive the caller, who goes on to change what it brought.
	c = c.DeepCopy()
	made := l.flight.DoChan("", func() (any, error) {
		if js := l.open(); js != nil {
			return js, nil
		}
		conn, js, err := r.connect(c, l)
		if err == nil {
			err = l.install(conn, js)
		}
		if err != nil {
			l.gate.failed(time.Now(), err)
			return nil, err
		}
		l.gate.answered()
		return js, nil
	})
	select {
	case <-ctx.Done():
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			return nil, messagingError(c, err)
		}
		return nil, fmt.Errorf("connecting to NATS at %s: %w", c.Spec.Messaging.URL, ctx.Err())
	case result := <-made:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(jetstream.JetStream), nil
	}
}

// open is the JetStream of a connection that is there; nil: none is.
func (l *line) open() jetstream.JetStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	return l.js
}

func (l *line) connection() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

func (l *line) install(conn *nats.Conn, js jetstream.JetStream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go conn.Close()
		return &Error{Reason: v1alpha1.ReasonUnreachable, Message: fmt.Sprintf("NATS at %s: %v", l.url, errReplaced)}
	}
	l.conn, l.js = conn, js
	return nil
}

func (l *line) close() {
	l.mu.Lock()
	conn := l.conn
	l.conn, l.js, l.closed = nil, nil, true
	l.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// connect waits for a server's answer, and is bounded, a server of the URL.
func (r *Registry) connect(c *v1alpha1.OrderCluster, l *line) (*nats.Conn, jetstream.JetStream, error) {
	log := r.log.With("namespace", c.Namespace, "ordercluster", c.Name)
	options := []nats.Option{
		nats.Name("orderd-operator " + c.Namespace + "/" + c.Name),
		nats.CustomInboxPrefix(messaging.RoleOperator.InboxPrefix()),
		nats.Timeout(r.limits.check),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(r.limits.ping),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			// There is no error if the operator itself closed the connection.
			if err != nil {
				log.Warn("messaging disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.gate.answered()
			log.Info("messaging reconnected")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("messaging error", "error", err) }),
	}
	if strings.Contains(l.url, "tls://") {
		options = append(options, nats.Secure(l.tls.config()))
	}
	if l.creds != "" {
		option, err := credentials(c, l.creds)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, option)
	}
	conn, err := nats.Connect(l.url, options...)
	if err != nil {
		return nil, nil, messagingError(c, err)
	}
	trace := &jetstream.ClientTrace{
		RequestSent:      func(string, []byte) { l.gate.sent(time.Now()) },
		ResponseReceived: func(string, []byte, nats.Header) { l.gate.answered() },
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(r.limits.request), jetstream.WithClientTrace(trace))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return conn, js, nil
}

// CheckMessaging asks the OrderCluster's JetStream about its account, and whose that is; it stamps one that
// is nobody's unless the OrderCluster is paused. Errors are as of JetStream.
func (r *Registry) CheckMessaging(ctx context.Context, c *v1alpha1.OrderCluster) error {
	l, err := r.line(Fresh(ctx), c)
	if err != nil {
		return err
	}
	// Each server of the URL may take as long.
	brief, cancel := context.WithTimeout(ctx, r.limits.check)
	defer cancel()
	js, err := r.connected(brief, c, l)
	if err != nil {
		return err
	}
	if _, err := js.AccountInfo(messaging.PerCall(ctx)); err != nil {
		return unanswered(c, js.Conn(), err)
	}
	if err := l.claim(ctx, c, js); err != nil {
		return err
	}
	// What is not known is told by ServerTime.
	_ = l.time.Measure(ctx, js, r.elapsed)
	return nil
}
