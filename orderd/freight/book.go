package freight

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// NewBook is a book of methods with their templates, by the methods' order in it; a method without its template is left out.
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

const selectBook = `SELECT m.name, m.title, m.template, m.position, t.currency, t.charge_by,
	r.country, r.region, r.not_deliverable, r.first_units, r.first_charge, r.additional_units, r.additional_charge, r.free_from
FROM delivery_methods AS m
JOIN freight_templates AS t ON t.name = m.template
LEFT JOIN freight_rules AS r ON r.template = m.template AND r.country = ANY ($1)
ORDER BY m.position, m.name, r.country, r.region`

// LoadBook reads all methods with the rules that the countries need, in one query.
func LoadBook(ctx context.Context, q Querier, countries []string) (*Book, error) {
	// The empty country's rules are for all others.
	countries = append([]string{""}, countries...)
	rows, err := q.Query(ctx, selectBook, countries)
	if err != nil {
		return nil, fmt.Errorf("reading delivery methods: %w", err)
	}
	b := &Book{}
	var m Method
	var currency string
	var by ChargeBy
	var r nullRule
	fields := append([]any{&m.Name, &m.Title, &m.Template, &m.Position, &currency, &by}, r.fields()...)
	_, err = pgx.ForEachRow(rows, fields, func() error {
		last := len(b.entries) - 1
		if last < 0 || b.entries[last].method.Name != m.Name {
			b.entries = append(b.entries, entry{method: m, template: Template{Name: m.Template, Currency: currency, ChargeBy: by}})
			last++
		}
		if r.country != nil {
			t := &b.entries[last].template
			t.Rules = append(t.Rules, r.rule())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading delivery methods: %w", err)
	}
	return b, nil
}

// nullRule is a rule as an outer join has it: all of it may be missing.
type nullRule struct {
	country, region                                            *string
	notDeliverable                                             *bool
	firstUnits, firstCharge, additionalUnits, additionalCharge *int64
	freeFrom                                                   *int64
}

func (r *nullRule) fields() []any {
	return []any{&r.country, &r.region, &r.notDeliverable, &r.firstUnits, &r.firstCharge, &r.additionalUnits, &r.additionalCharge, &r.freeFrom}
}

func (r *nullRule) rule() Rule {
	return Rule{
		Country: *r.country, Region: *r.region, NotDeliverable: *r.notDeliverable, FirstUnits: *r.firstUnits, FirstCharge: *r.firstCharge,
		AdditionalUnits: *r.additionalUnits, AdditionalCharge: *r.additionalCharge, FreeFrom: r.freeFrom,
	}
}
