package psp

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// routeAdmin serves the buyer and whoever runs a test:
//
//	POST   /pay/{provider}/{number}?fault=lost&fault=…   pay
//	POST   /admin/faults      {"kind": "timeout_after_success", "provider": "stripe", "operation": "refund", "times": 2}
//	DELETE /admin/faults      switch all off
//	POST   /admin/release     send what is held back
//	POST   /admin/refunds?ok=false   end pending refunds
//	GET    /admin/deliveries  the attempts of notifications so far
//	GET    /admin/payments    the payments, with what was paid back
func (s *Server) routeAdmin() {
	s.mux.HandleFunc("POST /pay/{provider}/{number}", s.payPage)
	s.mux.HandleFunc("POST /admin/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil || !slices.Contains(Kinds(), f.Kind) {
			http.Error(w, "no such fault", http.StatusBadRequest)
			return
		}
		s.Fault(f)
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("DELETE /admin/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("POST /admin/release", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]int{"released": s.Release()})
	})
	s.mux.HandleFunc("POST /admin/refunds", func(w http.ResponseWriter, r *http.Request) {
		ok, err := strconv.ParseBool(r.URL.Query().Get("ok"))
		s.SettleRefunds(err != nil || ok)
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("GET /admin/deliveries",
		func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Deliveries()) })
	s.mux.HandleFunc("GET /admin/payments", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Payments()) })
}

func (s *Server) payPage(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	for _, name := range r.URL.Query()["fault"] {
		for kind := range strings.SplitSeq(name, ",") {
			if !slices.Contains(NotificationKinds(), Kind(kind)) {
				http.Error(w, "no such fault", http.StatusBadRequest)
				return
			}
			faults = append(faults, Fault{Kind: Kind(kind)})
		}
	}
	switch err := s.Pay(r.PathValue("provider"), r.PathValue("number"), faults...); {
	case errors.Is(err, ErrNoPayment):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		writeJSON(w, map[string]string{"status": "paid"})
	}
}

// Payment is one as the providers know it.
type Payment struct {
	Provider    string `json:"provider"`
	Number      string `json:"number"`
	State       string `json:"state"`
	Amount      int64  `json:"amount"`
	Refunded    int64  `json:"refunded"`
	Currency    string `json:"currency"`
	Transaction string `json:"transaction,omitempty"`
}

// Payments are all of them, oldest first.
func (s *Server) Payments() []Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Payment{}
	for _, p := range s.payments {
		out = append(out, Payment{
			Provider: p.provider, Number: p.number, State: string(p.state), Amount: p.amount, Refunded: p.refunded(),
			Currency: p.currency, Transaction: p.transaction,
		})
	}
	return out
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(encode(value), '\n'))
}
