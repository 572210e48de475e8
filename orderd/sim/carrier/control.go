package carrier

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// journey is what happens to a parcel, in this order, when the clock moves it.
var journey = []string{"COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"}

// Run moves every parcel one step further each interval, until ctx ends. A push that is not taken is
// left to the shop's polling.
func (s *Simulator) Run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, p := range s.Parcels() {
			if step := len(p.Events) - 1; !p.Cancelled && step >= 0 && step < len(journey) {
				_ = s.Move(ctx, p.ShipmentID, journey[step])
			}
		}
	}
}

// Control is for people and tests in another process:
//
//	GET  /control/parcels
//	POST /control/parcels/{shipment_id}/move?code=DELIVERED   (502: the shop did not take the push)
//	PUT  /control/faults                                      (the JSON of Faults; all that it does not name are off)
func (s *Simulator) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control/parcels", func(w http.ResponseWriter, _ *http.Request) {
		out := []told{}
		for _, p := range s.Parcels() {
			out = append(out, tell(p))
		}
		answer(w, http.StatusOK, out)
	})
	mux.HandleFunc("POST /control/parcels/{id}/move", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Move(r.Context(), r.PathValue("id"), r.URL.Query().Get("code")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /control/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Faults
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Set(f)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
