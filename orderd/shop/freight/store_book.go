package freight

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// ruleColumns are a rule as an outer join has it: the first tells whether there is one.
const ruleColumns = `r.country IS NOT NULL, coalesce(r.country, ''), coalesce(r.region, ''), coalesce(r.not_deliverable, false),
	coalesce(r.first_units, 0), coalesce(r.first_charge, 0), coalesce(r.additional_units, 0), coalesce(r.additional_charge, 0), r.free_from`

// fields are where ruleColumns are read into.
func (r *Rule) fields(found *bool) []any {
	return []any{
		found,
		&r.Country,
		&r.Region,
		&r.NotDeliverable,
		&r.FirstUnits,
		&r.FirstCharge,
		&r.AdditionalUnits,
		&r.AdditionalCharge,
		&r.FreeFrom,
	}
}

const selectBook = `SELECT m.name, m.title, m.template, m.position, t.currency, t.charge_by, ` + ruleColumns + `
FROM delivery_methods AS m
JOIN freight_templates AS t ON t.name = m.template
LEFT JOIN freight_rules AS r ON r.template = m.template AND r.country = ANY ($1)
ORDER BY m.position, m.name, r.country, r.region`

// LoadBook reads all methods with the rules that the countries need, in one query.
func LoadBook(ctx context.Context, q database.Querier, countries []string) (*Book, error) {
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
	var r Rule
	var found bool
	fields := append([]any{&m.Name, &m.Title, &m.Template, &m.Position, &currency, &by}, r.fields(&found)...)
	_, err = pgx.ForEachRow(rows, fields, func() error {
		last := len(b.entries) - 1
		if last < 0 || b.entries[last].method.Name != m.Name {
			b.entries = append(b.entries,
				entry{method: m, template: Template{Name: m.Template, Currency: currency, ChargeBy: by}})
			last++
		}
		if found {
			t := &b.entries[last].template
			t.Rules = append(t.Rules, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading delivery methods: %w", err)
	}
	return b, nil
}
