package payment

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
)

// maxNotificationBytes is the largest notification that is read.
const maxNotificationBytes = 64 << 10

// reasonTakenBack says that a refund had succeeded and then failed after all.
const reasonTakenBack = "REFUND_FAILED_AFTER_SUCCESS"

// NotificationHandler serves providers' notifications at a pattern with the wildcard {provider}, such
// as POST /notifications/{provider}. It answers in the provider's own way, after the effect is
// committed.
func NotificationHandler(s *Service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		provider, ok := s.providers[r.PathValue("provider")]
		if !ok {
			http.Error(w, "no such payment provider is configured", http.StatusNotFound)
			return
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotificationBytes))
		if err != nil {
			http.Error(w, "the notification cannot be read", http.StatusBadRequest)
			return
		}
		told, err := provider.ParseNotification(r.Header, raw, s.now())
		if err == nil {
			err = s.tell(r.Context(), provider.Name(), told)
		} else {
			s.keepRefused(r.Context(), provider.Name(), Notification{Raw: raw}, err)
		}
		s.metrics.notified(provider.Name(), err)
		if err != nil {
			s.log.Warn("a notification had no effect",
				"provider", provider.Name(), "payment", told.PaymentID, "error", err)
		}
		provider.Answer(w, err)
	})
}

// key names a notification: of several with one key the first has an effect. A provider may give a
// failure and the success after it the same transaction id.
func (n Notification) key() string {
	if n.Success {
		return n.TransactionID
	}
	return "failed:" + n.TransactionID
}

// tell applies what a provider has told, verified; it returns once the effect is committed.
func (s *Service) tell(ctx context.Context, provider string, told Notification) error {
	var err error
	switch {
	case told.Ignore:
	case told.Kind == KindRefund:
		err = s.refundTold(ctx, provider, told)
	default:
		err = s.gatherers[provider].put(ctx, told)
	}
	s.keepRefused(ctx, provider, told, err)
	return err
}

// keepRefused counts a notification that is not believed, and stores it for staff to see if its
// signature was right. A notification without a right signature is never stored: anybody may send it.
func (s *Service) keepRefused(ctx context.Context, provider string, told Notification, err error) {
	var refused *NotificationError
	if !errors.As(err, &refused) {
		return
	}
	s.metrics.refused.WithLabelValues(provider, refused.Reason).Inc()
	signed := []string{ReasonMerchantWrong, ReasonAmountWrong, ReasonCurrencyWrong}
	if !slices.Contains(signed, refused.Reason) {
		return
	}
	if err := s.keep(ctx, provider, told, refused.Reason); err != nil {
		s.log.Error("a refused notification was not stored",
			"provider", provider, "reason", refused.Reason, "error", err)
	}
}
