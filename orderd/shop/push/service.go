package push

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/push/v1/pushv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const defaultPageSize = 50

// Service is the handler of PushService. Requests reach it validated.
type Service struct {
	pushv1connect.UnimplementedPushServiceHandler

	pool *pgxpool.Pool
	now  func() time.Time
}

// Options of a Service. Both have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// NewService does no I/O.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock} }

// UpsertPushTemplate writes a template.
func (s *Service) UpsertPushTemplate(
	ctx context.Context, req *pushv1.UpsertPushTemplateRequest,
) (*pushv1.UpsertPushTemplateResponse, error) {
	event, lang, err := named(req.GetTemplate().GetEvent(), req.GetTemplate().GetLanguage())
	if err != nil {
		return nil, err
	}
	t := Template{
		Event: event, Language: lang, Title: req.GetTemplate().GetTitle(), Body: req.GetTemplate().GetBody(),
		Muted: req.GetTemplate().GetMuted(), UpdatedAt: database.Stamp(s.now()),
	}
	if err := t.check(); err != nil {
		return nil, invalid(err)
	}
	answer := &pushv1.UpsertPushTemplateResponse{Template: t.proto()}
	if answer.ExampleTitle, answer.ExampleBody, err = t.texts(fields(example(event), lang)); err != nil {
		return nil, rpcerr.Internal(err)
	}
	return once(ctx, s, idempotency.StaffScope, req, answer, func(tx *database.Tx) error {
		room, err := t.upsert(ctx, tx)
		if err == nil && !room {
			err = rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyTemplates,
				"there are as many templates as there may be; delete some")
		}
		return err
	})
}

// ListPushTemplates returns a page of the templates by event and language.
func (s *Service) ListPushTemplates(
	ctx context.Context, req *pushv1.ListPushTemplatesRequest,
) (*pushv1.ListPushTemplatesResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	written, err := loadTemplates(ctx, s.pool)
	if err != nil {
		return nil, database.RPCError(err)
	}
	var all []Template
	for _, event := range eventNames() {
		templates := builtIn()[event]
		for lang, t := range written[event] {
			templates[lang] = t
		}
		for _, t := range templates {
			if t.place() > after {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b Template) int { return cmp.Compare(a.place(), b.place()) })
	answer := &pushv1.ListPushTemplatesResponse{}
	all, answer.NextPageToken = page.Cut(all, page.Size(req.GetPageSize(), defaultPageSize),
		func(last Template) []any { return []any{last.place()} })
	for _, t := range all {
		answer.Templates = append(answer.Templates, t.proto())
	}
	return answer, nil
}

// DeletePushTemplate deletes a template that was written.
func (s *Service) DeletePushTemplate(
	ctx context.Context, req *pushv1.DeletePushTemplateRequest,
) (*pushv1.DeletePushTemplateResponse, error) {
	event, lang, err := named(req.GetEvent(), req.GetLanguage())
	if err != nil {
		return nil, err
	}
	answer := &pushv1.DeletePushTemplateResponse{}
	return once(ctx, s, idempotency.StaffScope, req, answer, func(tx *database.Tx) error {
		found, err := remove(ctx, tx, event, lang)
		if err == nil && !found {
			err = rpcerr.New(connect.CodeNotFound, rpcerr.ReasonTemplateNotFound, "nobody wrote such a template")
		}
		return err
	})
}

// SetLanguage sets the language a buyer is told in.
func (s *Service) SetLanguage(
	ctx context.Context, req *pushv1.SetLanguageRequest,
) (*pushv1.SetLanguageResponse, error) {
	lang, err := normalize(req.GetLanguage())
	if err != nil {
		return nil, languageInvalid(err)
	}
	answer := &pushv1.SetLanguageResponse{Language: lang}
	return once(ctx, s, idempotency.BuyerScope(req.GetBuyerId()), req, answer, func(tx *database.Tx) error {
		return setLanguage(ctx, tx, req.GetBuyerId(), lang, s.now())
	})
}

// GetLanguage returns the language a buyer is told in.
func (s *Service) GetLanguage(
	ctx context.Context, req *pushv1.GetLanguageRequest,
) (*pushv1.GetLanguageResponse, error) {
	lang, err := languageOf(ctx, s.pool, req.GetBuyerId())
	if err != nil {
		return nil, database.RPCError(err)
	}
	return &pushv1.GetLanguageResponse{Language: lang}, nil
}

// mutation is what every request has that changes something.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// once has the effect once a request id, and answers with answer.
func once[A proto.Message](
	ctx context.Context, s *Service, scope string, req mutation, answer A, effect func(*database.Tx) error,
) (A, error) {
	var none A
	request, err := idempotency.NewRequest(scope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcerr.Internal(err)
	}
	answer, err = idempotency.Once(ctx, s.pool, request, s.now(),
		func(tx *database.Tx) (A, error) { return answer, effect(tx) })
	if err != nil {
		return none, database.RPCError(err)
	}
	return answer, nil
}

func named(event, tag string) (name, lang string, err error) {
	if !slices.Contains(eventNames(), event) {
		return "", "", rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonEventUnknown,
			"event must be one of "+strings.Join(eventNames(), ", "), "field", "event")
	}
	if lang, err = normalize(tag); err != nil {
		return "", "", languageInvalid(err)
	}
	return event, lang, nil
}

func languageInvalid(cause error) error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonLanguageInvalid, "language is not a BCP 47 tag", "field",
		"language").WithCause(cause)
}

func invalid(err error) error {
	var p *ProblemError
	if !errors.As(err, &p) {
		return rpcerr.Internal(err)
	}
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonTemplateInvalid, p.Error(), "field", p.Field, "problem",
		p.Text)
}

// place is the template's in the list.
func (t Template) place() string { return t.Event + "/" + t.Language }

func (t Template) proto() *pushv1.PushTemplate {
	out := &pushv1.PushTemplate{
		Event:    t.Event,
		Language: t.Language,
		Title:    t.Title,
		Body:     t.Body,
		Muted:    t.Muted,
		BuiltIn:  t.BuiltIn,
	}
	if !t.UpdatedAt.IsZero() {
		out.UpdatedAt = timestamppb.New(t.UpdatedAt)
	}
	return out
}
