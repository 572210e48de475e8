package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// maxTemplates bounds the templates that are written, which every worker holds.
const maxTemplates = 1000

// loadTemplates returns all templates that were written, by event and language.
func loadTemplates(ctx context.Context, q database.Querier) (map[string]map[string]Template, error) {
	rows, err := q.Query(ctx,
		"SELECT event, language, title, body, muted, updated_at FROM push_templates ORDER BY event, language LIMIT $1",
		maxTemplates)
	if err != nil {
		return nil, fmt.Errorf("loading push templates: %w", err)
	}
	all := map[string]map[string]Template{}
	var t Template
	_, err = pgx.ForEachRow(rows, []any{&t.Event, &t.Language, &t.Title, &t.Body, &t.Muted, &t.UpdatedAt}, func() error {
		if all[t.Event] == nil {
			all[t.Event] = map[string]Template{}
		}
		all[t.Event][t.Language] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading push templates: %w", err)
	}
	return all, nil
}

// upsert writes a template and tells whether there was room for it.
func (t Template) upsert(ctx context.Context, tx pgx.Tx) (bool, error) {
	tag, err := tx.Exec(ctx, `INSERT INTO push_templates (event, language, title, body, muted, updated_at)
		SELECT $1::text, $2::text, $3::text, $4::text, $5::bool, $6::timestamptz
		WHERE (SELECT count(*) FROM push_templates) < $7::bigint OR EXISTS (SELECT 1 FROM push_templates WHERE event = $1::text AND language = $2::text)
		ON CONFLICT (event, language) DO UPDATE SET title = excluded.title, body = excluded.body, muted = excluded.muted, updated_at = excluded.updated_at`,
		t.Event, t.Language, t.Title, t.Body, t.Muted, t.UpdatedAt, maxTemplates)
	if err != nil {
		return false, fmt.Errorf("writing a push template: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// remove deletes a template and tells whether there was one.
func remove(ctx context.Context, tx pgx.Tx, event, lang string) (bool, error) {
	tag, err := tx.Exec(ctx, "DELETE FROM push_templates WHERE event = $1 AND language = $2", event, lang)
	if err != nil {
		return false, fmt.Errorf("deleting a push template: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

func setLanguage(ctx context.Context, tx pgx.Tx, buyerID, lang string, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO push_languages (buyer_id, language, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (buyer_id) DO UPDATE SET language = excluded.language, updated_at = excluded.updated_at`, buyerID, lang, at)
	if err != nil {
		return fmt.Errorf("setting a buyer's language: %w", err)
	}
	return nil
}

// languageOf is what the buyer chose, or the default.
func languageOf(ctx context.Context, q database.Querier, buyerID string) (string, error) {
	var lang string
	err := q.QueryRow(ctx, "SELECT language FROM push_languages WHERE buyer_id = $1", buyerID).Scan(&lang)
	if errors.Is(err, pgx.ErrNoRows) {
		return defaultLanguage, nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for a buyer's language: %w", err)
	}
	return lang, nil
}
