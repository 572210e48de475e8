package payment

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Provider is a payment provider. Its methods are safe for concurrent use and hold no state that has
// to outlive the process.
type Provider interface {
	// Name is the provider's name in the API, such as sandbox.
	Name() string
	// Create tells the provider of a payment and returns where the buyer pays. It may be called again for
	// the same payment id and must then answer for the same payment.
	Create(ctx context.Context, charge Charge) (Session, error)
	// ParseNotification verifies a notification's signature, age and merchant and reads it. A
	// *NotificationError says that it must not be believed.
	ParseNotification(header http.Header, body []byte, now time.Time) (Notification, error)
	// Answer writes the provider's own answer to a notification: taken if err is nil, to be sent again if not.
	Answer(w http.ResponseWriter, err error)
}

// Charge is what a buyer is to pay.
type Charge struct {
	PaymentID, OrderID uuid.UUID
	// Amount in the currency's minor unit.
	Amount   int64
	Currency string
	// ExpiresAt is when the provider should not take the payment any more.
	ExpiresAt time.Time
}

// Session is the provider's side of a charge.
type Session struct {
	// RedirectURL is where the app sends the buyer.
	RedirectURL string
}

// Notification is what a provider tells of a payment, once verified.
type Notification struct {
	// TransactionID is the provider's own id of what happened; the same for every repetition.
	TransactionID string
	PaymentID     uuid.UUID
	Amount        int64
	Currency      string
	// Success tells whether the provider has the money.
	Success bool
	// Raw is the body as it came.
	Raw []byte
}

// NotificationError says why a notification is not believed.
type NotificationError struct{ Reason string }

// Error is the reason.
func (e *NotificationError) Error() string { return "notification refused: " + e.Reason }

// ErrUnknownPayment says that a notification is for a payment that is not here.
var ErrUnknownPayment = errors.New("payment not found")
