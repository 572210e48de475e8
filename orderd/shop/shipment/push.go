package shipment

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// PushHandler takes carriers' pushes at a pattern with the wildcard {carrier}, POST
// /carriers/{carrier}/events. It answers after the effect is committed, as package carrier
// documents.
func PushHandler(s *Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := s.carriers[r.PathValue("carrier")]
		if !ok {
			http.Error(w, "no such carrier is configured", http.StatusNotFound)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, carrier.MaxPushBytes))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			http.Error(w, "the push is too large", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the push cannot be read", http.StatusBadRequest)
			return
		}
		told, err := c.ParsePush(r.Header, body, s.now())
		if err == nil {
			err = s.push(r.Context(), c, told)
		}
		s.answer(w, c, told, err)
	})
}

// push records what a carrier told of one of its parcels.
func (s *Store) push(ctx context.Context, c carrier.Carrier, told carrier.Push) error {
	return s.change(ctx, told.ShipmentID, func(w *work) error {
		if w.shipment.Carrier != c.Name() {
			return errNotFound
		}
		return w.record(ctx, report{events: told.Events, actor: "carrier " + c.Name()})
	})
}

func (s *Store) answer(w http.ResponseWriter, c carrier.Carrier, told carrier.Push, err error) {
	var refused *carrier.PushError
	result := "failed"
	switch {
	case err == nil:
		result = "taken"
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &refused) && refused.Signed():
		result = "refused"
		http.Error(w, refused.Error(), http.StatusBadRequest)
	case errors.As(err, &refused):
		result = "refused"
		http.Error(w, refused.Error(), http.StatusUnauthorized)
	case errors.Is(err, errNotFound):
		result = "unknown"
		http.Error(w, "no such shipment", http.StatusNotFound)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not now; send it again", http.StatusServiceUnavailable)
	}
	s.metrics.pushes.WithLabelValues(c.Name(), result).Inc()
	if err != nil {
		s.log.Warn("push not taken", "carrier", c.Name(), "shipment", told.ShipmentID, "error", err)
	}
}
