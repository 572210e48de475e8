package shipment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

const (
	// maxRefreshes of buyers' questions are under way in a process; more are answered
	// with what is stored.
	maxRefreshes = 64
	// refreshTimeout bounds one, whether or not anybody still waits for it.
	refreshTimeout = 8 * time.Second
)

// fetch asks the carrier for everything and records it. No transaction is open while
// the carrier is asked.
func (s *Store) fetch(ctx context.Context, sh *Shipment, c carrier.Carrier) error {
	events, err := c.Track(ctx, sh.ID)
	if err != nil {
		return fmt.Errorf("tracking shipment %s: %w", sh.ID, err)
	}
	return s.change(ctx, sh.ID, func(w *work) error {
		return w.record(ctx, report{events: events, actor: "carrier " + sh.Carrier, full: true})
	})
}

// tracked is a shipment with its tracking.
type tracked struct {
	shipment *Shipment
	events   []carrier.Event
	stale    bool
}

// track is what is known of a buyer's parcel. The carrier is asked if it is time to, once however
// many ask, and not waited for longer than a buyer waits.
func (s *Store) track(ctx context.Context, buyerID string, id uuid.UUID) (tracked, error) {
	sh, err := get(ctx, s.pool, id)
	if err == nil && sh.BuyerID != buyerID {
		err = errNotFound
	}
	if err != nil {
		return tracked{}, err
	}
	answer, stale := "stored", false
	if c, ok := s.refreshable(sh); ok {
		answer = "fetched"
		if stale = !s.refresh(ctx, sh, c); stale {
			answer = "stale"
		}
		if sh, err = get(ctx, s.pool, id); err != nil {
			return tracked{}, err
		}
	}
	s.metrics.tracks.WithLabelValues(answer).Inc()
	events, err := loadEvents(ctx, s.pool, id)
	return tracked{shipment: sh, events: events, stale: stale}, err
}

// refreshable tells whether the carrier may know more than is stored, and it is time to ask.
func (s *Store) refreshable(sh *Shipment) (carrier.Carrier, bool) {
	c, ok := s.carriers[sh.Carrier]
	if !ok || sh.Work != TrackWork {
		return nil, false
	}
	return c, sh.FetchedAt == nil || s.now().Sub(*sh.FetchedAt) >= s.refreshAfter
}

// refresh tells whether the carrier answered in time.
func (s *Store) refresh(ctx context.Context, sh *Shipment, c carrier.Carrier) bool {
	done := s.flights.DoChan(sh.ID.String(), func() (any, error) {
		select {
		case s.refreshes <- struct{}{}:
			defer func() { <-s.refreshes }()
		default:
			return nil, carrier.ErrUnavailable
		}
		// Others may wait for it when this caller has gone.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		return nil, s.fetch(asking, sh, c)
	})
	timer := time.NewTimer(s.refreshWait)
	defer timer.Stop()
	select {
	case r := <-done:
		if r.Err != nil {
			s.log.Warn("a buyer's question was answered with what is stored", "shipment", sh.ID, "carrier", sh.Carrier, "error",
				r.Err)
		}
		return r.Err == nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (t tracked) proto(now time.Time) *shipmentv1.TrackShipmentResponse {
	out := &shipmentv1.TrackShipmentResponse{
		Shipment:  t.shipment.proto(),
		Events:    eventsProto(t.events),
		FetchedAt: pb.Time(t.shipment.FetchedAt),
		Stale:     t.stale,
	}
	if t.shipment.FetchedAt != nil {
		out.Age = durationpb.New(max(now.Sub(*t.shipment.FetchedAt), 0))
	}
	return out
}
