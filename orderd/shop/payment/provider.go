package payment

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Provider is a payment provider. Its methods are safe for concurrent use and hold no state that
// has to outlive the process. None is called while a transaction is open, each with a deadline.
//
// Errors come in two classes. A [*RefusedError] is the provider's no: the call had no effect, and
// the same call would be refused again. Any other error leaves the outcome open (no answer, a
// time-out after success, a busy provider, an answer that cannot be verified): the same call is
// made again, later, with the same ids, until the answer is known.
type Provider interface {
	// Name is the provider's name in the API, such as sandbox.
	Name() string
	// Methods are the ways to pay that the settings allow, the preferred first; at least one.
	Methods() []Method
	// Create tells the provider of a payment and returns where the buyer pays. It may be called
	// again for the same payment id, by another process too, and must then answer for the same
	// payment: a buyer cannot be charged by both calls. [ErrPaid] says that this payment is paid
	// already.
	Create(ctx context.Context, charge Charge) (Session, error)
	// Query asks what became of a payment. A payment that the provider never heard of is
	// [StatusNotFound] and no error.
	Query(ctx context.Context, charge Charge) (Status, error)
	// Close ends a payment that is not paid. nil says that it cannot be paid any more, also if it
	// was closed before or the provider never heard of it; [ErrPaid] says that it was paid. Any
	// other error leaves it open, such as that the buyer is paying at this moment.
	Close(ctx context.Context, charge Charge) error
	// Refund asks for money to be paid back, once a refund id: the same id again is the same refund
	// and answers its state. The answer may be [RefundPending]. A [*RefusedError] says that under
	// this id no money has gone or will go back; the same id may be asked for again later.
	Refund(ctx context.Context, refund RefundOrder) (RefundStatus, error)
	// QueryRefund asks what became of a refund. [RefundNotFound] says that Refund has not reached
	// the provider.
	QueryRefund(ctx context.Context, refund RefundOrder) (RefundStatus, error)
	// ParseNotification verifies a notification's signature, then its age and its merchant, and
	// reads it. A [*NotificationError] says that the notification must not be believed; any other
	// error says that it cannot be verified now.
	ParseNotification(header http.Header, body []byte, now time.Time) (Notification, error)
	// Answer writes the provider's own answer to a notification: that it was taken if err is nil,
	// otherwise that it is to be sent again.
	Answer(w http.ResponseWriter, err error)
	// Location is the time zone in which the statements' days begin.
	Location() *time.Location
	// Statement calls each for every payment and refund whose money moved on the day that begins at
	// day, in any order; payments that failed or were closed are not among them. It is called no
	// earlier than twelve hours after the day's end. An error of each ends the statement and is
	// returned. Any error means that the rows so far may not be all: the whole statement is read
	// again later. [ErrStatementNotReady] says that the provider has not made it yet.
	Statement(ctx context.Context, day time.Time, each func(StatementRow) error) error
}

// MethodKind is what the buyer's app does with a session.
type MethodKind string

// The kinds. METHOD_KIND_ before one makes its name in the API.
const (
	// MethodRedirect opens Session.RedirectURL.
	MethodRedirect MethodKind = "REDIRECT"
	// MethodQR shows Session.QRCode as a QR code, for another device to scan.
	MethodQR MethodKind = "QR"
	// MethodSDK hands Session.SDKParams to the provider's SDK in the app.
	MethodSDK MethodKind = "SDK"
)

// Method is one way to pay through a provider.
type Method struct {
	// Name is the method's name in the API, unique in its provider, such as native.
	Name string
	// Title is for buyers.
	Title string
	Kind  MethodKind
	// Currencies that can be paid by it (ISO 4217); nil: all.
	Currencies []string
	// NeedsOpenID and NeedsClientIP say which fields of a Charge must not be empty.
	NeedsOpenID, NeedsClientIP bool
}

// Charge is what a buyer is to pay. Query and Close get the same charge as Create, with its
// Reference; the fields that only Create needs may be empty: Description, ClientIP, OpenID and
// ReturnURL.
type Charge struct {
	PaymentID, OrderID uuid.UUID
	// Amount in the currency's minor unit.
	Amount   int64
	Currency string
	// CreatedAt is when the payment was begun here. From ExpiresAt on the provider should not let
	// the buyer pay.
	CreatedAt, ExpiresAt time.Time
	// Method is one of the provider's.
	Method string
	// Description is what the buyer sees on the provider's page; at most 127 bytes.
	Description string
	// ClientIP is the buyer's address, OpenID the buyer at the provider, and ReturnURL where the
	// provider's page sends the buyer at the end. Each may be empty.
	ClientIP, OpenID, ReturnURL string
	// Reference is the Session's; empty if Create has not answered, or its answer was lost.
	Reference string
}

// Session is the provider's side of a charge. The field that the method's kind names is set.
type Session struct {
	// RedirectURL is where the app sends the buyer.
	RedirectURL string
	// QRCode is the text of a QR code.
	QRCode string
	// SDKParams are what the provider's SDK in the app takes.
	SDKParams map[string]string
	// Reference is the provider's own id of the charge, if it needs it in Query, Close or Refund.
	// At most 128 bytes.
	Reference string
}

// ready tells whether the buyer has where to pay.
func (s Session) ready() bool { return s.RedirectURL != "" || s.QRCode != "" || len(s.SDKParams) > 0 }

// StatusState is what a provider says of a payment.
type StatusState string

// The states.
const (
	// StatusNotFound: the provider never heard of it.
	StatusNotFound StatusState = "NOT_FOUND"
	// StatusPending: it can be paid, or is being paid.
	StatusPending StatusState = "PENDING"
	// StatusSucceeded: the provider has received the money, even if part or all of it was refunded
	// since.
	StatusSucceeded StatusState = "SUCCEEDED"
	// StatusClosed: it was closed before it was paid, or its time is over. It cannot be paid any
	// more.
	StatusClosed StatusState = "CLOSED"
	// StatusFailed: the payment was tried and refused for good.
	StatusFailed StatusState = "FAILED"
)

// Status is the answer to Query. Only [StatusSucceeded] has more than State and Reason.
type Status struct {
	State StatusState
	// TransactionID is the same as in the notification of the success and in the statement.
	TransactionID string
	Amount        int64
	Currency      string
	PaidAt        time.Time
	// Reason is the provider's own code of a failure.
	Reason string
}

// RefundOrder is what is to be paid back.
type RefundOrder struct {
	// RefundID is the same whenever the same refund is asked for. After the provider has said
	// [RefundFailed], the next try has another id.
	RefundID, PaymentID, OrderID uuid.UUID
	// TransactionID is the provider's id of the payment's success, and Reference the one of its
	// [Session]; empty if there was none.
	TransactionID, Reference string
	// Amount goes back, of Total that was paid, both in the minor unit of Currency.
	Amount, Total int64
	Currency      string
	// Reason is for the buyer, at most 80 bytes.
	Reason string
	// CreatedAt is when the refund was first wished for.
	CreatedAt time.Time
}

// RefundState is what a provider says of a refund.
type RefundState string

// The states.
const (
	// RefundNotFound: the provider has no refund with this id.
	RefundNotFound RefundState = "NOT_FOUND"
	// RefundPending: the provider has taken it on.
	RefundPending RefundState = "PENDING"
	// RefundSucceeded: the money has gone back.
	RefundSucceeded RefundState = "SUCCEEDED"
	// RefundFailed: under this refund id the money will not go back, whatever happens.
	RefundFailed RefundState = "FAILED"
)

// RefundStatus is the answer to Refund and QueryRefund.
type RefundStatus struct {
	State RefundState
	// ProviderRefundID is the provider's own id of the refund, the same as in the statement.
	ProviderRefundID string
	// Reason is the provider's own code of a failure.
	Reason string
}

// Kind tells payments from refunds, in notifications and statements.
type Kind string

// The kinds. The empty one is KindPayment.
const (
	KindPayment Kind = "PAYMENT"
	KindRefund  Kind = "REFUND"
)

// Notification is what a provider tells of a payment or a refund, once verified. A notification
// that changes nothing (an event of another sort, a refund that is still under way) has Ignore set,
// and is answered as taken.
type Notification struct {
	Kind Kind
	// TransactionID is the provider's own id of what happened; the same for every repetition. For a
	// success it is the same as in [Status] and the statement; for a refund it is ProviderRefundID
	// of [RefundStatus]. At most 128 bytes.
	TransactionID string
	PaymentID     uuid.UUID
	// RefundID is RefundOrder.RefundID.
	RefundID uuid.UUID
	Amount   int64
	Currency string
	// Success tells whether the provider has the money, or for a refund whether it has gone back.
	Success bool
	// Reason is the provider's own code of a failure.
	Reason string
	// PaidAt is when the money moved; zero if the provider does not tell.
	PaidAt time.Time
	Ignore bool
	// Raw is the body as it came.
	Raw []byte
}

// StatementRow is money that moved.
type StatementRow struct {
	Kind Kind
	// TransactionID as in [Notification].
	TransactionID string
	// PaymentID and RefundID are ours; uuid.Nil if the row does not name one of ours.
	PaymentID, RefundID uuid.UUID
	// Amount is positive for refunds as well.
	Amount   int64
	Currency string
	At       time.Time
}

// RefusedError is a provider's no.
type RefusedError struct {
	// Reason is the provider's own code, without personal data: it is stored and shown to staff.
	Reason string
	// Err says more, for the log; may be nil.
	Err error
}

// Error has the reason.
func (e *RefusedError) Error() string {
	if e.Err != nil {
		return "refused by the provider: " + e.Reason + ": " + e.Err.Error()
	}
	return "refused by the provider: " + e.Reason
}

// Unwrap is what says more.
func (e *RefusedError) Unwrap() error { return e.Err }

// Reasons of a [NotificationError] that are only given if the signature is right. Such
// notifications are kept for staff to see.
const (
	ReasonMerchantWrong = "MERCHANT_WRONG"
	ReasonAmountWrong   = "AMOUNT_WRONG"
	ReasonCurrencyWrong = "CURRENCY_WRONG"
)

// NotificationError says why a notification is not believed.
type NotificationError struct{ Reason string }

// Error is the reason.
func (e *NotificationError) Error() string { return "notification refused: " + e.Reason }

var (
	// ErrUnknownPayment says that a notification is for a payment or a refund that is not here.
	ErrUnknownPayment = errors.New("payment not found")
	// ErrPaid says that a payment cannot be created or closed, because it is paid.
	ErrPaid = errors.New("the payment is paid")
	// ErrStatementNotReady says that the provider has not made the day's statement yet.
	ErrStatementNotReady = errors.New("the statement is not ready")
)
