package pod

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// precheck decides on requests by what any pod knows, before they go to their partition. Make it
// with newPrecheck, and set what is above promotionNotFound. Safe for concurrent use.
type precheck struct {
	views *views
	// now is the cluster's time; false while it is not known.
	now func() (time.Time, bool)
	// soldOut says that no more than left units of an item can be had anywhere; false
	// if that is not known.
	soldOut func(uid, sku string) (left int64, ok bool)
	// admission checks admission tokens; nil: none is valid.
	admission *admission.Signer
	// moving asks the caller to come back.
	moving func() error

	// promotionNotFound is what everybody hears who asks for a promotion that there is not.
	promotionNotFound *refusal.Error
	// refused counts by reason.
	refused *prometheus.CounterVec
}

func newPrecheck() *precheck {
	return &precheck{
		promotionNotFound: refusal.PromotionNotFound(),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_refused_early_total",
			Help: "Requests refused before they reached a partition, by reason.",
		}, []string{"reason"}),
	}
}

// checkTime is a moment at which requests are checked.
type checkTime struct {
	now   time.Time
	known bool
}

func (c *precheck) time() checkTime {
	now, known := c.now()
	return checkTime{now, known}
}

// target is where a request goes, or a refusal that needs no partition, which it counts. Placed is
// the promotion that the request names; nil: the pod knows none. First says that the request was
// never sent before.
func (c *precheck) target(
	placed *route.Placed, request *flashv1.PlaceFlashOrderRequest, at checkTime, first bool,
) (route.Target, error) {
	target, err := c.decide(placed, request, at, first)
	if err != nil {
		c.refused.WithLabelValues(rpcerr.Reason(err)).Inc()
	}
	return target, err
}

// decide is target. Once the sale has started only the partition knows whether a request is the
// retry of one that was accepted, which gets its order whatever the sale has come to since; unless
// the caller says that it is no retry.
func (c *precheck) decide(
	placed *route.Placed, request *flashv1.PlaceFlashOrderRequest, at checkTime, first bool,
) (route.Target, error) {
	if placed == nil {
		return route.Target{}, c.notFound()
	}
	n, err := placed.Route(request)
	switch {
	case err != nil:
		return route.Target{}, err
	case !at.known:
		return route.Target{}, c.moving()
	case !placed.Started(at.now):
		return route.Target{}, placed.NotStarted()
	case !placed.GetOpen():
		return route.Target{}, c.moving()
	}
	if first {
		if err := placed.Admit(at.now, request); err != nil {
			return route.Target{}, err
		}
		if err := c.announcedSoldOut(placed.Promotion, request); err != nil {
			return route.Target{}, err
		}
	}
	return route.Target{Placed: placed, Partition: n}, c.admitted(placed.Promotion, request)
}

// notFound is the refusal of a promotion that the pod does not know. Before it has read them
// all it may be there.
func (c *precheck) notFound() error {
	if !c.views.load().synced {
		return c.moving()
	}
	return c.promotionNotFound
}

// announcedSoldOut refuses an item that some pod proved to be sold out.
func (c *precheck) announcedSoldOut(promo *promotion.Promotion, request *flashv1.PlaceFlashOrderRequest) error {
	for _, item := range request.GetItems() {
		left, ok := c.soldOut(promo.GetUid(), item.GetSku())
		if !ok || item.GetQuantity() <= left {
			continue
		}
		if i, there := promo.Index(item.GetSku()); there && left == 0 {
			return promo.SoldOut(i)
		}
		return refusal.SoldOut(item.GetSku(), left)
	}
	return nil
}

// admitted refuses a request without a token for each of its items, where the
// promotion asks for them.
func (c *precheck) admitted(promo *promotion.Promotion, request *flashv1.PlaceFlashOrderRequest) error {
	if !promo.GetAdmissionRequired() {
		return nil
	}
	tokens := request.GetAdmissionTokens()
	for _, item := range request.GetItems() {
		if len(tokens) == 0 || c.admission == nil {
			return refusal.AdmissionRequired(item.GetSku())
		}
		valid := false
		for i := 0; i < len(tokens) && !valid; i++ {
			valid = c.admission.Valid(promo.GetUid(), request.GetBuyerId(), item.GetSku(), tokens[i])
		}
		if !valid {
			return refusal.AdmissionInvalid(item.GetSku())
		}
	}
	return nil
}
