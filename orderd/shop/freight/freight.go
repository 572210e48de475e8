// Package freight has the shop's delivery methods and what each costs: templates of rules by region.
package freight

import (
	"errors"
	"strings"

	"github.com/orderd-dev/orderd/orderd/kit/money"
)

// ChargeBy is what a template's units are.
type ChargeBy string

const (
	// ByWeight charges grams.
	ByWeight ChargeBy = "WEIGHT"
	// ByPiece charges units of goods.
	ByPiece ChargeBy = "PIECE"
	// ByOrderValue charges the currency's minor unit of the goods after discount.
	ByOrderValue ChargeBy = "ORDER_VALUE"
)

const (
	// maxTemplates and maxMethods bound what staff may write.
	maxTemplates = 200
	maxMethods   = 50
)

var (
	// ErrNotDeliverable says that a method does not deliver to a place.
	ErrNotDeliverable = errors.New("not delivered to this region")
	// ErrOtherCurrency says that a method's freight is in another currency than the goods.
	ErrOtherCurrency = errors.New("the freight is in another currency")
	// ErrTooLarge says that the freight, or the freight and the goods together, cost more than fits.
	ErrTooLarge = errors.New("the freight is too large")
)

// Rule is what one region pays: FirstCharge for up to FirstUnits, then AdditionalCharge for each
// AdditionalUnits that are begun; no AdditionalUnits, no more charge.
type Rule struct {
	// Country is empty for all that have no rule, Region for all of the country that have none.
	Country, Region                                            string
	NotDeliverable                                             bool
	FirstUnits, FirstCharge, AdditionalUnits, AdditionalCharge int64
	// FreeFrom is what the goods after discount have to cost to be delivered free; nil: never free.
	FreeFrom *int64
}

// Template is the rules of one or more methods.
type Template struct {
	Name, Currency string
	ChargeBy       ChargeBy
	Rules          []Rule
}

// Method is a way of delivery as buyers choose it.
type Method struct {
	Name, Title, Template string
	Position              int64
}

// Place is where goods go, as far as freight knows.
type Place struct{ Country, Region string }

// Load is what goes there.
type Load struct {
	WeightGrams, Pieces int64
	// Value of the goods after discount, in the currency's minor unit.
	Value int64
}

// Charge is the freight of the load to the place, in the template's currency's minor unit. Errors:
// ErrNotDeliverable, ErrTooLarge.
func (t *Template) Charge(to Place, load Load) (int64, error) {
	rule := t.rule(to)
	if rule == nil || rule.NotDeliverable {
		return 0, ErrNotDeliverable
	}
	if rule.FreeFrom != nil && load.Value >= *rule.FreeFrom {
		return 0, nil
	}
	units := t.units(load)
	if units <= rule.FirstUnits || rule.AdditionalUnits <= 0 {
		return rule.FirstCharge, nil
	}
	steps := (units-rule.FirstUnits-1)/rule.AdditionalUnits + 1
	more, fits := money.Mul(steps, rule.AdditionalCharge)
	if !fits {
		return 0, ErrTooLarge
	}
	charge, fits := money.Add(rule.FirstCharge, more)
	if !fits {
		return 0, ErrTooLarge
	}
	return charge, nil
}

// rule is the most specific one for the place: its region's, its country's, that of all others;
// nil if there is none.
func (t *Template) rule(to Place) *Rule {
	var best *Rule
	for i := range t.Rules {
		r := &t.Rules[i]
		switch {
		case r.Country != "" && r.Country != to.Country:
		case r.Region != "" && sameRegion(r.Region, to.Region):
			return r
		case r.Region != "":
		case best == nil || best.Country == "":
			best = r
		}
	}
	return best
}

func (t *Template) units(load Load) int64 {
	switch t.ChargeBy {
	case ByWeight:
		return load.WeightGrams
	case ByPiece:
		return load.Pieces
	}
	return load.Value
}

// sameRegion does not let a region's rule be missed for the way a buyer writes it.
func sameRegion(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// Book is the methods there are, in the order that buyers see them in, with their templates.
type Book struct{ entries []entry }

type entry struct {
	method   Method
	template Template
}

// NewBook is a book of methods with their templates, by the methods' order in it; a method without
// its template is left out.
func NewBook(methods []Method, templates []Template) *Book {
	byName := make(map[string]Template, len(templates))
	for _, t := range templates {
		byName[t.Name] = t
	}
	b := &Book{}
	for _, m := range methods {
		if t, ok := byName[m.Template]; ok {
			b.entries = append(b.entries, entry{method: m, template: t})
		}
	}
	return b
}

// Offer is a method for a load and a place: its freight, or why there is none.
type Offer struct {
	Method, Title string
	ChargeBy      ChargeBy
	Freight       int64
	// Refused is ErrNotDeliverable, ErrOtherCurrency, ErrTooLarge or nil.
	Refused error
}

// Offers works out every method's freight, in the currency of the goods. [Choose] takes one of them.
func (b *Book) Offers(currency string, to Place, load Load) []Offer {
	offers := make([]Offer, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		offers[i] = Offer{Method: e.method.Name, Title: e.method.Title, ChargeBy: e.template.ChargeBy}
		if e.template.Currency != currency {
			offers[i].Refused = ErrOtherCurrency
			continue
		}
		offers[i].Freight, offers[i].Refused = e.template.Charge(to, load)
		if _, fits := money.Add(load.Value, offers[i].Freight); !fits {
			offers[i].Freight, offers[i].Refused = 0, ErrTooLarge
		}
	}
	return offers
}
