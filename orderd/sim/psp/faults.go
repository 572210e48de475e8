package psp

import (
	"net/http"
	"slices"
	"time"
)

// Kind of a fault.
type Kind string

const (
	// Late holds a notification back until Release.
	Late Kind = "late"
	// Lost never sends it.
	Lost Kind = "lost"
	// Duplicated sends it three times, at once.
	Duplicated Kind = "duplicated"
	// Reordered sends it after the provider's next notification.
	Reordered Kind = "reordered"
	// Forged signs it with a key that is not the provider's.
	Forged Kind = "forged"
	// WrongAmount, WrongCurrency and WrongMerchant are signed by the provider and say what is not so.
	WrongAmount   Kind = "wrong_amount"
	WrongCurrency Kind = "wrong_currency"
	WrongMerchant Kind = "wrong_merchant"

	// Timeout does what a call asks for and then breaks the connection instead of answering.
	Timeout Kind = "timeout_after_success"
	// Unavailable answers a call 503 and does nothing.
	Unavailable Kind = "unavailable"
	// ForgedAnswer does what a call asks for and signs the answer with a key that is not the
	// provider's; not Stripe.
	ForgedAnswer Kind = "forged_answer"
	// RefundRefused refuses a refund for good.
	RefundRefused Kind = "refund_refused"
	// RefundPending takes a refund that SettleRefunds ends; not Alipay, whose refunds are done when
	// they are answered.
	RefundPending Kind = "refund_pending"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{
		Late, Lost, Duplicated, Reordered, Forged, WrongAmount, WrongCurrency, WrongMerchant, Timeout, Unavailable,
		ForgedAnswer, RefundRefused, RefundPending,
	}
}

// NotificationKinds are those of notifications.
func NotificationKinds() []Kind {
	return []Kind{Late, Lost, Duplicated, Reordered, Forged, WrongAmount, WrongCurrency, WrongMerchant}
}

// Fault is one that is switched on.
type Fault struct {
	Kind Kind `json:"kind"`
	// Provider it is for; empty: any.
	Provider string `json:"provider,omitempty"`
	// Operation it is for: create, query, close, refund, query_refund, statement, download; for
	// notifications payment or refund; empty: any.
	Operation string `json:"operation,omitempty"`
	// Times it happens; 1 if zero, for ever if negative.
	Times int `json:"times,omitempty"`
}

// Fault switches one on.
func (s *Server) Fault(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults switches all off.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// strike uses up one of the faults of these kinds. The caller holds the lock.
func (s *Server) strike(provider, operation string, kinds ...Kind) (Kind, bool) {
	for i, f := range s.faults {
		if !slices.Contains(kinds, f.Kind) || (f.Provider != "" && f.Provider != provider) ||
			(f.Operation != "" && f.Operation != operation) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		if f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f.Kind, true
	}
	return "", false
}

// strikes is strike for one kind, by itself.
func (s *Server) strikes(provider, operation string, kind Kind) bool {
	_, ok := s.strike(provider, operation, kind)
	return ok
}

// breakConnection ends a request without an answer.
func breakConnection(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// SettleRefunds ends every refund that is pending, as succeeded or not, and tells of it.
func (s *Server) SettleRefunds(ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.payments {
		for _, r := range p.refunds {
			if r.state != open {
				continue
			}
			r.state, r.at = failed, s.now()
			if ok {
				r.state = succeeded
			}
			s.notifyRefund(r)
		}
	}
}

// refundState is what a new refund starts as. The caller holds the lock.
func (s *Server) refundState(provider string) state {
	if s.strikes(provider, "refund", RefundPending) {
		return open
	}
	return succeeded
}

func chinaTime(t time.Time) string { return t.In(shanghai).Format(time.RFC3339) }
