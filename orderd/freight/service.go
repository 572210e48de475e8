package freight

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// Service is the handler of FreightService. Requests reach it validated.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewService takes the database and a clock.
func NewService(pool *pgxpool.Pool, now func() time.Time) *Service {
	return &Service{pool: pool, now: now}
}

// UpsertFreightTemplate creates or replaces a template, once a request id.
func (s *Service) UpsertFreightTemplate(ctx context.Context, req *freightv1.UpsertFreightTemplateRequest) (*freightv1.UpsertFreightTemplateResponse, error) {
	template, err := templateOf(req.GetTemplate())
	if err != nil {
		return nil, err
	}
	answer := &freightv1.UpsertFreightTemplateResponse{}
	err = s.once(ctx, req.GetRequestId(), req, answer, func(_ pgx.Tx, b *pgx.Batch) error {
		queueTemplate(b, template, s.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ListFreightTemplates returns a page of the templates, by name.
func (s *Service) ListFreightTemplates(ctx context.Context, req *freightv1.ListFreightTemplatesRequest) (*freightv1.ListFreightTemplatesResponse, error) {
	after, err := parsePageToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	// One more than asked for tells whether there is a next page.
	templates, err := listTemplates(ctx, s.pool, after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &freightv1.ListFreightTemplatesResponse{}
	if len(templates) > size {
		templates = templates[:size]
		answer.NextPageToken = pageToken(templates[size-1].Name)
	}
	for _, t := range templates {
		answer.Templates = append(answer.Templates, t.proto())
	}
	return answer, nil
}

// DeleteFreightTemplate deletes a template that no method uses, once a request id.
func (s *Service) DeleteFreightTemplate(ctx context.Context, req *freightv1.DeleteFreightTemplateRequest) (*freightv1.DeleteFreightTemplateResponse, error) {
	answer := &freightv1.DeleteFreightTemplateResponse{}
	err := s.once(ctx, req.GetRequestId(), req, answer, func(tx pgx.Tx, b *pgx.Batch) error {
		found, err := lockTemplate(ctx, tx, req.GetName())
		if err != nil || !found {
			return err
		}
		method, err := methodOf(ctx, tx, req.GetName())
		if err != nil {
			return err
		}
		if method != "" {
			return rpcerr.New(connect.CodeFailedPrecondition, "FREIGHT_TEMPLATE_IN_USE", "a delivery method uses the template", "method", method)
		}
		queueDeleteTemplate(b, req.GetName())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// UpsertDeliveryMethod creates or replaces a method, once a request id.
func (s *Service) UpsertDeliveryMethod(ctx context.Context, req *freightv1.UpsertDeliveryMethodRequest) (*freightv1.UpsertDeliveryMethodResponse, error) {
	in := req.GetMethod()
	method := Method{Name: in.GetName(), Title: in.GetTitle(), Template: in.GetTemplate(), Position: int64(in.GetPosition())}
	answer := &freightv1.UpsertDeliveryMethodResponse{}
	err := s.once(ctx, req.GetRequestId(), req, answer, func(tx pgx.Tx, b *pgx.Batch) error {
		found, err := lockTemplate(ctx, tx, method.Template)
		if err != nil {
			return err
		}
		if !found {
			return rpcerr.New(connect.CodeNotFound, "FREIGHT_TEMPLATE_NOT_FOUND", "there is no such freight template", "template", method.Template)
		}
		queueMethod(b, method, s.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ListDeliveryMethods returns all methods, in the order that buyers see them in.
func (s *Service) ListDeliveryMethods(ctx context.Context, _ *freightv1.ListDeliveryMethodsRequest) (*freightv1.ListDeliveryMethodsResponse, error) {
	methods, err := listMethods(ctx, s.pool)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &freightv1.ListDeliveryMethodsResponse{}
	for _, m := range methods {
		answer.Methods = append(answer.Methods, &freightv1.DeliveryMethod{Name: m.Name, Title: m.Title, Template: m.Template, Position: int32(m.Position)})
	}
	return answer, nil
}

// DeleteDeliveryMethod deletes a method, once a request id.
func (s *Service) DeleteDeliveryMethod(ctx context.Context, req *freightv1.DeleteDeliveryMethodRequest) (*freightv1.DeleteDeliveryMethodResponse, error) {
	answer := &freightv1.DeleteDeliveryMethodResponse{}
	err := s.once(ctx, req.GetRequestId(), req, answer, func(_ pgx.Tx, b *pgx.Batch) error {
		queueDeleteMethod(b, req.GetName())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// once makes a change by staff: what effect locks and queues, behind the request's id. The answers of this service are empty.
func (s *Service) once(ctx context.Context, requestID string, req, answer proto.Message, effect func(pgx.Tx, *pgx.Batch) error) error {
	request, err := idempotency.NewRequest(idempotency.StaffScope, requestID, req)
	if err != nil {
		return rpcerr.Internal(err)
	}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		var claim, b pgx.Batch
		if err := request.Claim(&claim, s.now(), answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
			return err
		}
		if err := effect(tx, &b); err != nil || b.Len() == 0 {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	return database.RPCError(err)
}
