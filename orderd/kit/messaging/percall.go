package messaging

import (
	"context"
	"time"
)

// PerCall is ctx for several JetStream calls, each of which has the client's default time-out
// (jetstream.WithDefaultTimeout), however much later ctx itself ends. A call that is given a context
// with a deadline waits until then, and that of a whole reconcile is minutes away.
func PerCall(ctx context.Context) context.Context { return perCall{ctx} }

// perCall ends with the context that it is made of, and does not tell when that will be: the client
// bounds a call by itself where it sees no deadline.
type perCall struct{ context.Context }

// Deadline is none.
func (perCall) Deadline() (time.Time, bool) { return time.Time{}, false }
