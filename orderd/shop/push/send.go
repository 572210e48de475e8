package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderd-dev/orderd/orderd/kit/breaker"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
)

const (
	// maxAnswer is how much of an answer's body is read, so that its connection can be used again.
	maxAnswer = 64 << 10
	// maxQuiet bounds what the gateway can ask for.
	maxQuiet = 5 * time.Minute
)

var errQuiet = errors.New("the push gateway asked for a pause")

// statusError is an answer that is no success.
type statusError struct {
	status int
	// retryAfter is what the answer asks for; zero: nothing.
	retryAfter time.Duration
}

func (e *statusError) Error() string { return fmt.Sprintf("the push gateway answered %d", e.status) }

// refused tells whether the gateway said no to this notification for good.
func (e *statusError) refused() bool {
	if e.status < 400 || e.status >= 500 {
		return false
	}
	return !e.busy() && !e.barred()
}

// busy answers say that the gateway cannot take anything now.
func (e *statusError) busy() bool {
	switch e.status {
	case http.StatusRequestTimeout,
		http.StatusTooEarly,
		http.StatusTooManyRequests,
		http.StatusBadGateway,
		http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return true
	}
	return false
}

// barred answers say that the gateway does not know our key: nothing would pass until
// somebody sets that right.
func (e *statusError) barred() bool {
	return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden
}

// alive tells whether the gateway works, whatever it said of the notification.
func alive(err error) bool {
	var status *statusError
	return err == nil ||
		errors.As(err, &status) && (status.refused() || status.barred() || status.status == http.StatusTooManyRequests)
}

// errAway says that nothing was sent, because the gateway has failed several times in a row.
var errAway = errors.New("the push gateway is away")

// guarded sends unless the breaker is open, and says what a failure means for the event. While the
// gateway counts as dead, failures are its own and not the event's.
func (g *Gateway) guarded(ctx context.Context, eventID string, body []byte) error {
	if wait := g.quiet(); wait > 0 {
		return consume.Later(errQuiet, wait)
	}
	probing := !g.breaker.Closed()
	_, asked, err := breaker.Do(g.breaker, func() (any, error) { return nil, g.post(ctx, eventID, body) })
	var status *statusError
	switch {
	case err == nil:
		return nil
	case asked == breaker.NotAsked:
		return consume.Later(err, g.pause)
	case errors.As(err, &status) && status.refused():
		return consume.Permanent(err)
	case errors.As(err, &status) && (status.busy() || status.barred()):
		g.keepQuiet(status.retryAfter)
		return consume.Later(err, max(status.retryAfter, g.floor(status)))
	case probing:
		return consume.Later(err, g.pause)
	}
	return err
}

// keepQuiet has nothing sent for a while, as the gateway asked for.
func (g *Gateway) keepQuiet(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := g.now().Add(min(d, maxQuiet)); until.After(g.quietUntil) {
		g.quietUntil = until
	}
}

// quiet is how long nothing may be sent yet.
func (g *Gateway) quiet() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.quietUntil.Sub(g.now())
}

// floor is the shortest pause after an answer.
func (g *Gateway) floor(status *statusError) time.Duration {
	if status.barred() {
		return g.pause
	}
	return 0
}

func (g *Gateway) post(ctx context.Context, eventID string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
	if err := g.signer.sign(req.Header, webhookID(eventID), g.now(), body); err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		// Its URL may hold a token, and the error goes to logs and dead letters.
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return fmt.Errorf("sending to the push gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	// What it says is of no use; an error is that the connection is not used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return &statusError{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), g.now())}
}

// retryAfter reads the header: seconds or an HTTP date. RFC 9110, section 10.2.3.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
