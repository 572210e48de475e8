package coupon

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// insertTemplate makes the template's row if there is none. Revision 0 has no terms: the row is there to
// be locked.
func insertTemplate(ctx context.Context, tx pgx.Tx, name string, now time.Time) error {
	_, err := tx.Exec(ctx,
		`INSERT INTO coupon_templates (name, revision, enabled, created_at, updated_at) VALUES ($1, 0, true, $2, $2)
		ON CONFLICT (name) DO NOTHING`, name, now)
	if err != nil {
		return fmt.Errorf("creating a template: %w", err)
	}
	return nil
}

// lockTemplate reads a template and keeps its row locked. It reads after it has locked: a join in
// the locking statement would meet the new row with the old terms.
func lockTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	if _, err := tx.Exec(ctx, "SELECT name FROM coupon_templates WHERE name = $1 FOR UPDATE", name); err != nil {
		return nil, fmt.Errorf("locking a template: %w", err)
	}
	return readTemplate(ctx, tx, name)
}

// shareTemplate is lockTemplate for those who share the row with each other, and keep it from
// changing.
func shareTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	if _, err := tx.Exec(ctx, "SELECT name FROM coupon_templates WHERE name = $1 FOR SHARE", name); err != nil {
		return nil, fmt.Errorf("sharing a template: %w", err)
	}
	return readTemplate(ctx, tx, name)
}

// readTemplate is templateNamed in a transaction, which shareTemplate needs to be more than a moment.
func readTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	return templateNamed(ctx, tx, name)
}

// templateNamed reads a template, or TEMPLATE_NOT_FOUND.
func templateNamed(ctx context.Context, q database.Querier, name string) (*template, error) {
	found, err := readTemplates(ctx, q, "WHERE p.name = $1", name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, templateNotFound()
	}
	return found[0], nil
}

// HasTemplate tells whether there is such a template, on or off.
func (s *Store) HasTemplate(ctx context.Context, q database.Querier, name string) (bool, error) {
	found, err := readTemplates(ctx, q, "WHERE p.name = $1", name)
	return len(found) > 0, err
}

// templatesAfter reads up to limit templates behind a name, by name.
func templatesAfter(ctx context.Context, q database.Querier, after string, limit int) ([]*template, error) {
	return readTemplates(ctx, q, "WHERE p.name > $1 ORDER BY p.name LIMIT $2", after, limit)
}

// enabledTemplatesAfter is templatesAfter for those that are on.
func enabledTemplatesAfter(ctx context.Context, q database.Querier, after string, limit int) ([]*template, error) {
	return readTemplates(ctx, q, "WHERE p.name > $1 AND p.enabled ORDER BY p.name LIMIT $2", after, limit)
}

// readTemplates reads the templates that a condition finds.
func readTemplates(ctx context.Context, q database.Querier, condition string, args ...any) ([]*template, error) {
	rows, err := q.Query(ctx, `SELECT p.name, p.revision, p.enabled, p.created_at, t.terms, t.seed FROM coupon_templates p
		LEFT JOIN coupon_terms t ON t.template = p.name AND t.revision = p.revision `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*template, error) {
		t := &template{}
		var raw []byte
		if err := row.Scan(&t.name, &t.revision, &t.enabled, &t.createdAt, &raw, &t.seed); err != nil {
			return nil, err
		}
		if t.revision == 0 {
			return t, nil
		}
		t.source = &couponv1.CouponTemplate{}
		return t, proto.Unmarshal(raw, t.source)
	})
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	return found, nil
}

func writeTerms(ctx context.Context, tx pgx.Tx, t *template, now time.Time) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(t.source)
	if err != nil {
		return fmt.Errorf("writing a template's terms: %w", err)
	}
	var b pgx.Batch
	b.Queue("INSERT INTO coupon_terms (template, revision, terms, seed, created_at) VALUES ($1, $2, $3, $4, $5)", t.name,
		t.revision, raw, t.seed, now)
	b.Queue("UPDATE coupon_templates SET revision = $2, updated_at = $3 WHERE name = $1", t.name, t.revision, now)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing a template's terms: %w", err)
	}
	return nil
}

// writeEnabled stores whether the template is on.
func writeEnabled(ctx context.Context, tx pgx.Tx, t *template, now time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE coupon_templates SET enabled = $2, updated_at = $3 WHERE name = $1",
		t.name, t.enabled, now)
	if err != nil {
		return fmt.Errorf("switching a template: %w", err)
	}
	return nil
}
