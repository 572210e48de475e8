package invoice

import (
	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// State of an invoice.
type State string

// The states, as they are stored. INVOICE_STATE_ before one makes its name in the API.
const (
	Requested State = "REQUESTED"
	// Issued: the document is made out.
	Issued   State = "ISSUED"
	Rejected State = "REJECTED"
	// Voided: another document has voided it.
	Voided State = "VOIDED"
)

// Event changes an invoice.
type Event string

// The events.
const (
	Request Event = "request"
	// Change is the buyer's: something else is to be on it.
	Change Event = "change"
	Issue  Event = "issue"
	// Reject is the staff's, or follows from a refund of all that was paid.
	Reject Event = "reject"
	Void   Event = "void"
)

// transitions are all there are: nothing else changes an invoice's state.
var transitions = lifecycle.Table[State, Event]{
	"":        {Request: Requested},
	Requested: {Change: Requested, Issue: Issued, Reject: Rejected},
	Issued:    {Void: Voided},
}

// Transitions is the life cycle of an invoice, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }

// open tells whether the state is one of which an order has one invoice at most; the table's index invoices_open
// says the same.
func (s State) open() bool { return len(transitions[s]) > 0 }

// proto is the state's name in the API.
func (s State) proto() invoicev1.InvoiceState {
	return invoicev1.InvoiceState(invoicev1.InvoiceState_value["INVOICE_STATE_"+string(s)])
}
