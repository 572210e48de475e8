// Package plan is what the demo's driver tells the pods it starts, and what they answer: one line of
// JSON each.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Item is an item of the promotion, as the PromotionEvent has it.
type Item struct {
	SKU string `json:"sku"`
	// Title of the SKU.
	Title string `json:"title"`
	// UnitPrice in the currency's minor unit.
	UnitPrice int64  `json:"unitPrice"`
	Currency  string `json:"currency"`
	// Stock put into the promotion.
	Stock int64 `json:"stock"`
	// LimitPerBuyer is the most that a buyer may have; 0: no limit.
	LimitPerBuyer int64 `json:"limitPerBuyer"`
}

// Plan is one sale and the crowd that comes to it.
type Plan struct {
	// Run names the run; it is part of every buyer's and request's id.
	Run string `json:"run"`
	// Promotion is the PromotionEvent's name.
	Promotion string `json:"promotion"`
	// FlashURL and StandardURL are the base URLs of the two Services.
	FlashURL    string `json:"flashURL"`
	StandardURL string `json:"standardURL"`
	// IssuerURL is where the demo's tokens come from.
	IssuerURL string `json:"issuerURL"`
	// ProvidersURL is where the payment providers are simulated; empty: all buyers pay at the
	// sandbox.
	ProvidersURL string    `json:"providersURL,omitempty"`
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	Items        []Item    `json:"items"`
	// Buyers who come, at most MaxBuyers.
	Buyers int `json:"buyers"`
	// RushSeconds after the start in which all but a few buyers come.
	RushSeconds int `json:"rushSeconds"`
	// InFlight is how many requests wait for an answer at once, at most.
	InFlight int `json:"inFlight"`
	// Seed of everything that is random in the crowd.
	Seed uint64 `json:"seed"`
	// MaterializeSeconds an acknowledged order may take to be in the database, after the rush.
	MaterializeSeconds int `json:"materializeSeconds"`
	// PaySeconds that all payments together may take.
	PaySeconds int `json:"paySeconds"`
	// AfterSeconds that all which follows the payments may take.
	AfterSeconds int `json:"afterSeconds"`
}

// Campaign rewards the run's orders.
func (p Plan) Campaign() string { return "thanks-" + p.Run }

// MaxBuyers bounds the load: no buyer makes more than a few requests.
const MaxBuyers = 60_000

// Parse reads and checks a plan.
func Parse(raw string) (Plan, error) {
	var p Plan
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		return Plan{}, fmt.Errorf("parsing the plan: %w", err)
	}
	return p, p.validate()
}

func (p Plan) validate() error {
	switch {
	case p.Run == "" || p.Promotion == "":
		return errors.New("plan: run and promotion must be set")
	case p.FlashURL == "" || p.StandardURL == "" || p.IssuerURL == "":
		return errors.New("plan: flashURL, standardURL and issuerURL must be set")
	case len(p.Items) == 0:
		return errors.New("plan: no items")
	case !p.End.After(p.Start):
		return errors.New("plan: the end is not after the start")
	case p.Buyers < 1 || p.Buyers > MaxBuyers:
		return fmt.Errorf("plan: buyers is %d, must be 1 to %d", p.Buyers, MaxBuyers)
	case p.RushSeconds < 1 || p.InFlight < 1:
		return errors.New("plan: rushSeconds and inFlight must be positive")
	}
	return nil
}

// Stock is what the catalog says of a SKU.
type Stock struct {
	SKU       string `json:"sku"`
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
	Deducted  int64  `json:"deducted"`
}

// Progress is printed once a second while buyers are busy.
type Progress struct {
	// Stage is rush, verify, pay or after.
	Stage    string `json:"stage"`
	Requests int64  `json:"requests"`
	Accepted int64  `json:"accepted"`
	Refused  int64  `json:"refused"`
	Retried  int64  `json:"retried"`
	InFlight int64  `json:"inFlight"`
	// Verified orders are in the database as they were acknowledged.
	Verified int64 `json:"verified"`
	Paid     int64 `json:"paid"`
	// Rewarded, Notified and Delivered are as in Result.
	Rewarded  int64 `json:"rewarded"`
	Notified  int64 `json:"notified"`
	Delivered int64 `json:"delivered"`
}

// Result is what the crowd saw.
type Result struct {
	// Requests sent, retries among them.
	Requests int64 `json:"requests"`
	// Accepted orders, each counted once.
	Accepted int64 `json:"accepted"`
	// Repeated answers gave an order that was acknowledged before, to the same request id.
	Repeated int64 `json:"repeated"`
	// Refused answers by reason.
	Refused map[string]int64 `json:"refused"`
	// FirstAcceptedMillis after the start, when a buyer had the answer.
	FirstAcceptedMillis int64 `json:"firstAcceptedMillis"`
	// FirstAcceptedAt by the clock of the pod that accepted.
	FirstAcceptedAt time.Time `json:"firstAcceptedAt"`
	// Units accepted a SKU.
	Units map[string]int64 `json:"units"`
	// SoldOut counts the buyers a SKU who asked for one unit of it alone and were
	// told it is sold out.
	SoldOut map[string]int64 `json:"soldOut"`
	// LateFound orders were accepted although no answer reached the buyer before the sale ended.
	LateFound int64 `json:"lateFound"`
	// Missing orders were acknowledged and are not in the database.
	Missing int64 `json:"missing"`
	// Paid orders.
	Paid int64 `json:"paid"`
	// PaidBy is the paid orders by payment provider.
	PaidBy map[string]int64 `json:"paidBy"`
	// Rewarded orders: their buyers got the campaign's coupon.
	Rewarded int64 `json:"rewarded"`
	// Notified is how many payments of the run's orders buyers' devices were told of.
	Notified int64 `json:"notified"`
	// Sent orders got an address; Delivered are those of them whose parcel has arrived.
	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"`
	// Returned orders were sent back for their money; Refunded are those of them whose buyer has it.
	Returned int64 `json:"returned"`
	Refunded int64 `json:"refunded"`
	// DeadLetters of all consumers.
	DeadLetters int64 `json:"deadLetters"`
	// Broken promises, in words; the first few.
	Broken []string `json:"broken"`
	// Seconds a stage took.
	Seconds map[string]float64 `json:"seconds"`
}

// Knocks are what became of calls that were made once each.
type Knocks struct {
	Answered int64 `json:"answered"`
	Dropped  int64 `json:"dropped"`
	// Why the first few were dropped.
	Why []string `json:"why,omitempty"`
}

// Line is one line of a pod's output; exactly one field is set.
type Line struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Stock    []Stock   `json:"stock,omitempty"`
	Knocks   *Knocks   `json:"knocks,omitempty"`
}
