package freight

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// The two limits are checked without a lock: staff who add the last ones at the same moment may go
// over them by as many as they are, which harms nothing.

func queueTemplate(b *pgx.Batch, t Template, at time.Time) {
	b.Queue(`INSERT INTO freight_templates (name, currency, charge_by, updated_at)
		SELECT $1::text, $2::text, $3::text, $4::timestamptz WHERE (SELECT count(*) FROM freight_templates WHERE name <> $1) < $5
		ON CONFLICT (name) DO UPDATE SET currency = excluded.currency, charge_by = excluded.charge_by, updated_at = excluded.updated_at`,
		t.Name, t.Currency, string(t.ChargeBy), at, maxTemplates).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyFreightTemplates,
				"there are too many freight templates", "template", t.Name)
		}
		return nil
	})
	b.Queue("DELETE FROM freight_rules WHERE template = $1", t.Name)
	var countries, regions []string
	var not []bool
	var firstUnits, firstCharges, units, charges []int64
	var free []*int64
	for _, r := range t.Rules {
		countries, regions, not = append(countries, r.Country), append(regions, r.Region), append(not, r.NotDeliverable)
		firstUnits, firstCharges = append(firstUnits, r.FirstUnits), append(firstCharges, r.FirstCharge)
		units, charges, free = append(units, r.AdditionalUnits), append(charges, r.AdditionalCharge), append(free, r.FreeFrom)
	}
	b.Queue(
		`INSERT INTO freight_rules (template, country, region, not_deliverable, first_units, first_charge, additional_units, additional_charge, free_from)
		SELECT $1::text, country, region, not_deliverable, first_units, first_charge, additional_units, additional_charge, free_from
		FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
			AS r (country, region, not_deliverable, first_units, first_charge, additional_units, additional_charge, free_from)`,
		t.Name,
		countries,
		regions,
		not,
		firstUnits,
		firstCharges,
		units,
		charges,
		free,
	)
}

// listTemplates reads templates behind a name, by name, with all of their rules.
func listTemplates(ctx context.Context, q database.Querier, after string, size int) ([]Template, error) {
	rows, err := q.Query(ctx, `SELECT t.name, t.currency, t.charge_by, `+ruleColumns+`
		FROM (SELECT name, currency, charge_by FROM freight_templates WHERE name > $1 ORDER BY name LIMIT $2) AS t
		LEFT JOIN freight_rules AS r ON r.template = t.name
		ORDER BY t.name, r.country, r.region`, after, size)
	if err != nil {
		return nil, fmt.Errorf("reading freight templates: %w", err)
	}
	var out []Template
	var t Template
	var r Rule
	var found bool
	_, err = pgx.ForEachRow(rows, append([]any{&t.Name, &t.Currency, &t.ChargeBy}, r.fields(&found)...), func() error {
		if len(out) == 0 || out[len(out)-1].Name != t.Name {
			out = append(out, t)
		}
		if found {
			last := &out[len(out)-1]
			last.Rules = append(last.Rules, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading freight templates: %w", err)
	}
	return out, nil
}

// lockTemplate keeps the template from being deleted or given a method meanwhile, and tells
// whether it is there.
func lockTemplate(ctx context.Context, tx pgx.Tx, name string) (bool, error) {
	var found string
	err := tx.QueryRow(ctx, "SELECT name FROM freight_templates WHERE name = $1 FOR UPDATE", name).Scan(&found)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking freight template %s: %w", name, err)
	}
	return true, nil
}

// methodOf is a method that uses the template; empty if none does.
func methodOf(ctx context.Context, tx pgx.Tx, template string) (string, error) {
	var name string
	err := tx.QueryRow(ctx, "SELECT name FROM delivery_methods WHERE template = $1 ORDER BY name LIMIT 1",
		template).Scan(&name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("looking for methods of freight template %s: %w", template, err)
	}
	return name, nil
}

func queueDeleteTemplate(b *pgx.Batch, name string) {
	b.Queue("DELETE FROM freight_templates WHERE name = $1", name)
	b.Queue("DELETE FROM freight_rules WHERE template = $1", name)
}

func queueMethod(b *pgx.Batch, m Method, at time.Time) {
	b.Queue(`INSERT INTO delivery_methods (name, title, template, position, updated_at)
		SELECT $1::text, $2::text, $3::text, $4::bigint, $5::timestamptz WHERE (SELECT count(*) FROM delivery_methods WHERE name <> $1) < $6
		ON CONFLICT (name) DO UPDATE SET title = excluded.title, template = excluded.template, position = excluded.position, updated_at = excluded.updated_at`,
		m.Name, m.Title, m.Template, m.Position, at, maxMethods).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyDeliveryMethods,
				"there are too many delivery methods", "method", m.Name)
		}
		return nil
	})
}

func queueDeleteMethod(b *pgx.Batch, name string) {
	b.Queue("DELETE FROM delivery_methods WHERE name = $1", name)
}

func listMethods(ctx context.Context, q database.Querier) ([]Method, error) {
	rows, err := q.Query(ctx, "SELECT name, title, template, position FROM delivery_methods ORDER BY position, name")
	if err != nil {
		return nil, fmt.Errorf("reading delivery methods: %w", err)
	}
	methods, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Method])
	if err != nil {
		return nil, fmt.Errorf("reading delivery methods: %w", err)
	}
	return methods, nil
}
