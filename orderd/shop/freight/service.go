package freight

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// defaultPageSize is how many templates, each with all of its rules, a page has if the
// caller does not say.
const defaultPageSize = 10

// Options of a [Service]. All have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// Service is the handler of FreightService. Requests reach it validated.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock} }

// UpsertFreightTemplate creates or replaces a template, once a request id.
func (s *Service) UpsertFreightTemplate(
	ctx context.Context, req *freightv1.UpsertFreightTemplateRequest,
) (*freightv1.UpsertFreightTemplateResponse, error) {
	template, err := templateOf(req.GetTemplate())
	if err != nil {
		return nil, err
	}
	return once(ctx, s, req, &freightv1.UpsertFreightTemplateResponse{}, func(_ *database.Tx, b *pgx.Batch) error {
		queueTemplate(b, template, database.Stamp(s.now()))
		return nil
	})
}

// ListFreightTemplates returns a page of the templates, by name.
func (s *Service) ListFreightTemplates(
	ctx context.Context, req *freightv1.ListFreightTemplatesRequest,
) (*freightv1.ListFreightTemplatesResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	templates, err := listTemplates(ctx, s.pool, after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &freightv1.ListFreightTemplatesResponse{}
	templates, answer.NextPageToken = page.Cut(templates, size, func(last Template) []any { return []any{last.Name} })
	for _, t := range templates {
		answer.Templates = append(answer.Templates, t.proto())
	}
	return answer, nil
}

// DeleteFreightTemplate deletes a template that no method uses, once a request id.
func (s *Service) DeleteFreightTemplate(
	ctx context.Context, req *freightv1.DeleteFreightTemplateRequest,
) (*freightv1.DeleteFreightTemplateResponse, error) {
	return once(ctx, s, req, &freightv1.DeleteFreightTemplateResponse{}, func(tx *database.Tx, b *pgx.Batch) error {
		found, err := lockTemplate(ctx, tx, req.GetName())
		if err != nil || !found {
			return err
		}
		method, err := methodOf(ctx, tx, req.GetName())
		if err != nil {
			return err
		}
		if method != "" {
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonFreightTemplateInUse,
				"a delivery method uses the template", "method", method)
		}
		queueDeleteTemplate(b, req.GetName())
		return nil
	})
}

// UpsertDeliveryMethod creates or replaces a method, once a request id.
func (s *Service) UpsertDeliveryMethod(
	ctx context.Context, req *freightv1.UpsertDeliveryMethodRequest,
) (*freightv1.UpsertDeliveryMethodResponse, error) {
	in := req.GetMethod()
	method := Method{
		Name:     in.GetName(),
		Title:    in.GetTitle(),
		Template: in.GetTemplate(),
		Position: int64(in.GetPosition()),
	}
	return once(ctx, s, req, &freightv1.UpsertDeliveryMethodResponse{}, func(tx *database.Tx, b *pgx.Batch) error {
		found, err := lockTemplate(ctx, tx, method.Template)
		if err != nil {
			return err
		}
		if !found {
			return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonFreightTemplateNotFound, "there is no such freight template",
				"template", method.Template)
		}
		queueMethod(b, method, database.Stamp(s.now()))
		return nil
	})
}

// ListDeliveryMethods returns all methods, in the order that buyers see them in.
func (s *Service) ListDeliveryMethods(
	ctx context.Context, _ *freightv1.ListDeliveryMethodsRequest,
) (*freightv1.ListDeliveryMethodsResponse, error) {
	methods, err := listMethods(ctx, s.pool)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &freightv1.ListDeliveryMethodsResponse{}
	for _, m := range methods {
		answer.Methods = append(answer.Methods, &freightv1.DeliveryMethod{
			Name: m.Name, Title: m.Title, Template: m.Template, Position: int32(m.Position),
		})
	}
	return answer, nil
}

// DeleteDeliveryMethod deletes a method, once a request id.
func (s *Service) DeleteDeliveryMethod(
	ctx context.Context, req *freightv1.DeleteDeliveryMethodRequest,
) (*freightv1.DeleteDeliveryMethodResponse, error) {
	return once(ctx, s, req, &freightv1.DeleteDeliveryMethodResponse{}, func(_ *database.Tx, b *pgx.Batch) error {
		queueDeleteMethod(b, req.GetName())
		return nil
	})
}

// mutation is a request by staff.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// once makes a change by staff once a request id: what effect locks and queues. The
// answer is always the same.
func once[A proto.Message](
	ctx context.Context, s *Service, req mutation, answer A, effect func(*database.Tx, *pgx.Batch) error,
) (A, error) {
	var none A
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcerr.Internal(err)
	}
	answer, err = idempotency.Once(ctx, s.pool, request, database.Stamp(s.now()), func(tx *database.Tx) (A, error) {
		var b pgx.Batch
		if err := effect(tx, &b); err != nil || b.Len() == 0 {
			return answer, err
		}
		return answer, tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return none, database.RPCError(err)
	}
	return answer, nil
}
