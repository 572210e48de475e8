package backends

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/sale"
)

func ownerOf(c *v1alpha1.OrderCluster) sale.Owner {
	return sale.Owner{Namespace: c.Namespace, Name: c.Name, UID: string(c.UID)}
}

// isOwner tells whether the account is known to be the OrderCluster's.
func (l *line) isOwner(c *v1alpha1.OrderCluster) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owner == ownerOf(c)
}

// formerUID is whose stamp may be found in the account although the OrderCluster itself is meant.
func (l *line) formerUID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner.UID != "" {
		return l.owner.UID
	}
	return l.former
}

// claim stamps the account as the OrderCluster's unless it is another one's. For a paused one it only looks.
func (l *line) claim(ctx context.Context, c *v1alpha1.OrderCluster, js jetstream.JetStream) error {
	owner := ownerOf(c)
	ctx = messaging.PerCall(ctx)
	if c.IsPaused() {
		return accountError(c, js.Conn(), sale.CheckAccount(ctx, js, owner))
	}
	// A name is of one object at a time: what this operator stamped for another UID of the same name is gone.
	err := sale.ClaimAccount(ctx, js, owner, c.MessagingReplicas(),
		l.formerUID(), c.Annotations[v1alpha1.AnnotationTakeAccount])
	l.mu.Lock()
	defer l.mu.Unlock()
	var used *sale.AccountInUseError
	switch {
	case err == nil:
		if l.owner.UID != "" && l.owner.UID != owner.UID {
			l.former = l.owner.UID
		}
		l.owner = owner
	case errors.As(err, &used):
		l.owner = sale.Owner{}
	}
	return accountError(c, js.Conn(), err)
}

// Release gives the NATS account of an OrderCluster that is being deleted back, also if it was another process that
// stamped it; nil if it is nobody's, or another one's. Errors are as of JetStream.
func (r *Registry) Release(ctx context.Context, c *v1alpha1.OrderCluster) error {
	l, err := r.line(Fresh(ctx), c)
	if err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, r.limits.check)
	defer cancel()
	js, err := r.connected(brief, c, l)
	if err != nil {
		return err
	}
	if err := sale.ReleaseAccount(messaging.PerCall(ctx), js, ownerOf(c)); err != nil {
		return unanswered(c, js.Conn(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owner = sale.Owner{}
	return nil
}

// release gives the account back, if it is stamped and can be reached.
func (l *line) release(timeout time.Duration) error {
	l.mu.Lock()
	js, conn, owner := l.js, l.conn, l.owner
	l.owner = sale.Owner{}
	l.mu.Unlock()
	if owner.UID == "" {
		return nil
	}
	if conn == nil || !conn.IsConnected() {
		return fmt.Errorf("NATS at %s cannot be reached", l.url)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return sale.ReleaseAccount(ctx, js, owner)
}

// accountError puts the outcome of a claim into a condition's words.
func accountError(c *v1alpha1.OrderCluster, conn *nats.Conn, err error) error {
	var used *sale.AccountInUseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &used):
		return &Error{
			Reason: v1alpha1.ReasonAccountInUse,
			Message: fmt.Sprintf("%v: each OrderCluster needs a NATS account of its own. If that one is gone for good, this one"+
				" takes over the account and what is in it by: kubectl annotate -n %s ordercluster %s %s=%s",
				used, c.Namespace, c.Name, v1alpha1.AnnotationTakeAccount, used.Owner.UID),
		}
	default:
		return unanswered(c, conn, err)
	}
}
