package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	"github.com/orderd-dev/orderd/orderd/kit/breaker"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// DefaultTimeout of one request.
	DefaultTimeout = 10 * time.Second
	// DefaultFailures in a row make the gateway count as dead, and DefaultPause is how long
	// nothing is sent then.
	DefaultFailures = 5
	DefaultPause    = 10 * time.Second

	// templatesFor is how long a changed template may not be noticed.
	templatesFor = 10 * time.Second
	connections  = 64
)

// GatewayOptions of a Gateway. Timeout, Failures, Pause and Registerer may be left out.
type GatewayOptions struct {
	// URL that notifications are posted to.
	URL string
	// Secrets are the signing keys, from ParseSecrets.
	Secrets []string
	// Source of the CloudEvents: the OrderCluster's namespace and name.
	Source string
	// Pool has the templates and the buyers' languages.
	Pool           *pgxpool.Pool
	Timeout, Pause time.Duration
	Failures       uint32
	Clock          func() time.Time
	Logger         *slog.Logger
	Registerer     prometheus.Registerer
}

// Gateway is the app's push gateway.
type Gateway struct {
	url, source string
	signer      signer
	pool        *pgxpool.Pool
	client      *http.Client
	breaker     *breaker.Breaker
	pause       time.Duration
	now         func() time.Time
	metrics     *metrics

	mu       sync.Mutex
	written  map[string]map[string]Template
	loadedAt time.Time
	// quietUntil is when the gateway may be asked again, after it said so.
	quietUntil time.Time
}

// NewGateway does no I/O. An error is a setting's or the registerer's.
func NewGateway(o GatewayOptions) (*Gateway, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("the push gateway's URL must be an absolute http or https URL")
	}
	s, err := newSigner(o.Secrets)
	if err != nil {
		return nil, fmt.Errorf("push gateway: %w", err)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Pause <= 0 {
		o.Pause = DefaultPause
	}
	if o.Failures == 0 {
		o.Failures = DefaultFailures
	}
	g := &Gateway{url: o.URL, source: o.Source, signer: s, pool: o.Pool, pause: o.Pause, now: o.Clock}
	g.client = &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, IdleConnTimeout: time.Minute,
			ResponseHeaderTimeout: o.Timeout, ForceAttemptHTTP2: true,
		},
		// A redirect is an answer that is no success.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	g.breaker = breaker.New(breaker.Options{
		Name: "push gateway", Failures: o.Failures, Pause: o.Pause, Answered: alive, NotAsked: errAway, Logger: o.Logger,
	})
	g.metrics, err = newMetrics(o.Registerer, g.breaker.Open)
	return g, err
}

// Deliver tells an event's buyer. The gateway recognises a repetition by its webhook-id. It is a
// consume.Delivery: what the gateway refuses for good is consume.Permanent, and what says that the
// gateway is away or busy is consume.Later.
func (g *Gateway) Deliver(ctx context.Context, e consume.Event) error {
	n, err := g.compose(ctx, e)
	if err != nil {
		return err
	}
	if n == nil {
		g.metrics.results.WithLabelValues("muted").Inc()
		return nil
	}
	body, err := g.envelope(e, n)
	if err != nil {
		return consume.Permanent(err)
	}
	begin := g.now()
	err = g.guarded(ctx, e.ID, body)
	g.metrics.seconds.Observe(g.now().Sub(begin).Seconds())
	g.metrics.results.WithLabelValues(result(err)).Inc()
	return err
}

// compose writes the notification; nil if the buyer is told nothing.
func (g *Gateway) compose(ctx context.Context, e consume.Event) (*pushv1.Notification, error) {
	about, ok := e.Message.(carriesOrder)
	if !ok || about.GetOrder().GetBuyerId() == "" {
		return nil, consume.Permanent(fmt.Errorf("event %s of type %s tells nothing of a buyer", e.ID, e.Type))
	}
	if !news(about) {
		return nil, nil
	}
	templates, err := g.templates(ctx)
	if err != nil {
		return nil, databaseError(err)
	}
	buyer := about.GetOrder().GetBuyerId()
	lang, err := languageOf(ctx, g.pool, buyer)
	if err != nil {
		return nil, databaseError(err)
	}
	name := outbox.NameOf(e.Type)
	t, ok := resolve(templates, name, lang)
	if !ok {
		return nil, nil
	}
	title, body, err := t.texts(fields(about, t.Language))
	if err != nil {
		return nil, fmt.Errorf("rendering a template: %w", err)
	}
	return &pushv1.Notification{
		BuyerId:    buyer,
		OrderId:    e.OrderID.String(),
		Event:      name,
		Language:   t.Language,
		Title:      title,
		Body:       body,
		OccurredAt: timestamppb.New(e.Time),
	}, nil
}

// databaseError is Later unless it would come again.
func databaseError(err error) error {
	if database.ClassOf(err) == database.Final {
		return err
	}
	return consume.Later(err, 0)
}

// templates are those that were written, up to templatesFor old.
func (g *Gateway) templates(ctx context.Context) (map[string]map[string]Template, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now(); g.written == nil || now.Sub(g.loadedAt) >= templatesFor {
		written, err := loadTemplates(ctx, g.pool)
		if err != nil {
			return nil, err
		}
		g.written, g.loadedAt = written, now
	}
	return g.written, nil
}

// envelope is the notification as a CloudEvent in structured mode, so that its
// attributes are signed with it.
func (g *Gateway) envelope(e consume.Event, n *pushv1.Notification) ([]byte, error) {
	raw, err := protojson.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encoding a notification: %w", err)
	}
	// protojson puts spaces in at random, so that nobody relies on its bytes.
	var data bytes.Buffer
	if err := json.Compact(&data, raw); err != nil {
		return nil, fmt.Errorf("encoding a notification: %w", err)
	}
	out := event.New()
	out.SetID(e.ID)
	out.SetSource(g.source)
	out.SetType(string(n.ProtoReflect().Descriptor().FullName()))
	out.SetSubject(e.Subject)
	out.SetTime(e.Time)
	if err := out.SetData(event.ApplicationJSON, json.RawMessage(data.Bytes())); err != nil {
		return nil, fmt.Errorf("making a CloudEvent: %w", err)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding a CloudEvent: %w", err)
	}
	return body, nil
}
