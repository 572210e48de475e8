package owner_test

import (
	"time"

	"github.com/anishathalye/porcupine"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/linear"
)

// checkLinear wants that what buyers were told is linearizable. It knows nothing of the log.
func (w *world) checkLinear() {
	rules := linear.Rules{Limits: map[string]int64{}, Stale: staleMax, SoldOutFor: soldOutTTL}
	for _, sku := range w.skus {
		rules.Limits[sku] = w.limit
	}
	history := make([]linear.Operation, len(w.history.exchanges))
	for i, e := range w.history.exchanges {
		history[i] = e.linear()
	}
	if result, err := linear.Check(rules, history, 10*time.Second); result != porcupine.Ok {
		w.fail("linearizability: %s %v", result, err)
	}
}

func (e exchange) linear() linear.Operation {
	o := linear.Operation{
		Kind:  map[kind]linear.Kind{placing: linear.Place, looking: linear.Lookup, releasing: linear.Release}[e.kind],
		Buyer: e.buyer, Request: e.request, Sent: e.called, Answered: e.answered,
		SKU: e.sku, Order: e.order, Released: e.released,
		Items: make(map[string]int64, len(e.items)),
	}
	for _, item := range e.items {
		o.Items[item.GetSku()] = item.GetQuantity()
	}
	switch {
	case e.unknown():
		o.Outcome = linear.Unknown
	case e.outcome == flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED:
		o.Outcome = linear.Nothing
	case e.reason == "":
		o.Outcome = linear.Accepted
	case e.reason == rpcerr.ReasonOrderNotFound:
		o.Outcome = linear.NotFound
	case e.reason == rpcerr.ReasonSoldOut:
		o.Outcome = linear.SoldOut
	case e.reason == rpcerr.ReasonLimitPerBuyer:
		o.Outcome = linear.OverLimit
	case e.reason == rpcerr.ReasonRequestIDReused:
		o.Outcome = linear.Reused
	default:
		o.Outcome = linear.Refused
	}
	return o
}
