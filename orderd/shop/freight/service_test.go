package freight_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func wantReason(t *testing.T, err error, want string) {
	t.Helper()
	if got := rpcerr.Reason(err); got != want {
		t.Errorf("got %v (%s), want %s", err, got, want)
	}
}

func upsertTemplate(s *freight.Service, request string, tmpl *freightv1.FreightTemplate) error {
	_, err := s.UpsertFreightTemplate(context.Background(),
		&freightv1.UpsertFreightTemplateRequest{RequestId: request, Template: tmpl})
	return err
}

func upsertMethod(s *freight.Service, request string, method *freightv1.DeliveryMethod) error {
	_, err := s.UpsertDeliveryMethod(context.Background(),
		&freightv1.UpsertDeliveryMethodRequest{RequestId: request, Method: method})
	return err
}

func flat(name string, charge int64) *freightv1.FreightTemplate {
	return &freightv1.FreightTemplate{
		Name: name, Currency: "CNY", ChargeBy: freightv1.ChargeBy_CHARGE_BY_PIECE,
		Rules: []*freightv1.FreightRule{{Country: "CN", FirstCharge: charge}},
	}
}

// wholeTemplate has a rule of every kind.
func wholeTemplate() *freightv1.FreightTemplate {
	return &freightv1.FreightTemplate{
		Name: "by-weight", Currency: "CNY", ChargeBy: freightv1.ChargeBy_CHARGE_BY_WEIGHT,
		Rules: []*freightv1.FreightRule{
			{FirstUnits: 500, FirstCharge: 9000},
			{
				Country:          "CN",
				FirstUnits:       1000,
				FirstCharge:      800,
				AdditionalUnits:  500,
				AdditionalCharge: 200,
				FreeFrom:         proto.Int64(9900),
			},
			{Country: "CN", Region: "Tibet", NotDeliverable: true},
		},
	}
}

// wantPages expects the two templates on a page each.
func wantPages(t *testing.T, service *freight.Service, first, last *freightv1.FreightTemplate) {
	t.Helper()
	ctx := t.Context()
	page, err := service.ListFreightTemplates(ctx, &freightv1.ListFreightTemplatesRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*freightv1.FreightTemplate{first}, page.GetTemplates(), protocmp.Transform()); diff != "" {
		t.Errorf("the first page (-want +got):\n%s", diff)
	}
	page, err = service.ListFreightTemplates(ctx,
		&freightv1.ListFreightTemplatesRequest{PageSize: 1, PageToken: page.GetNextPageToken()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(
		&freightv1.ListFreightTemplatesResponse{Templates: []*freightv1.FreightTemplate{last}},
		page,
		protocmp.Transform(),
	); diff != "" {
		t.Errorf("the last page (-want +got):\n%s", diff)
	}
	_, err = service.ListFreightTemplates(ctx, &freightv1.ListFreightTemplatesRequest{PageToken: "Tk9ORQ"})
	wantReason(t, err, "INVALID_PAGE_TOKEN")
}

// wantOffers expects what the flat and the whole template offer, standard and express, to two countries.
func wantOffers(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	book, err := freight.LoadBook(t.Context(), pool, []string{"CN", "DE"})
	if err != nil {
		t.Fatal(err)
	}
	want := []freight.Offer{
		{Method: "standard", Title: "Standard", ChargeBy: freight.ByPiece, Refused: freight.ErrNotDeliverable},
		{Method: "express", Title: "Express", ChargeBy: freight.ByWeight, Freight: 9000},
	}
	if diff := cmp.Diff(want, book.Offers("CNY", freight.Place{Country: "DE"}, freight.Load{Pieces: 1}),
		cmpopts.EquateErrors()); diff != "" {
		t.Errorf("offers to Germany (-want +got):\n%s", diff)
	}
	want = []freight.Offer{
		{Method: "standard", Title: "Standard", ChargeBy: freight.ByPiece, Freight: 500},
		{Method: "express", Title: "Express", ChargeBy: freight.ByWeight, Freight: 1000},
	}
	if diff := cmp.Diff(want, book.Offers("CNY", freight.Place{Country: "CN"}, freight.Load{Pieces: 1, WeightGrams: 1200}),
		cmpopts.EquateErrors()); diff != "" {
		t.Errorf("offers to China (-want +got):\n%s", diff)
	}
}

// deleteStandard deletes the method and its template, in this order only, and as often as it is asked to.
func deleteStandard(t *testing.T, service *freight.Service) {
	t.Helper()
	ctx := t.Context()
	_, err := service.DeleteFreightTemplate(ctx, &freightv1.DeleteFreightTemplateRequest{RequestId: "d1", Name: "flat"})
	wantReason(t, err, "FREIGHT_TEMPLATE_IN_USE")
	for range 2 {
		if _, err := service.DeleteDeliveryMethod(ctx,
			&freightv1.DeleteDeliveryMethodRequest{RequestId: "d2", Name: "standard"}); err != nil {
			t.Fatal(err)
		}
		if _, err := service.DeleteFreightTemplate(ctx,
			&freightv1.DeleteFreightTemplateRequest{RequestId: "d1", Name: "flat"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := service.DeleteFreightTemplate(ctx,
		&freightv1.DeleteFreightTemplateRequest{RequestId: "d3", Name: "none"}); err != nil {
		t.Errorf("deleting a template that there is not: %v", err)
	}
}

func TestTemplatesAndMethods(t *testing.T) {
	ctx := context.Background()
	pool := testdb.NewPool(t)
	service := freight.NewService(freight.Options{Pool: pool, Clock: time.Now})
	whole := wholeTemplate()
	wantReason(t,
		upsertMethod(service, "m1", &freightv1.DeliveryMethod{Name: "express", Title: "Express", Template: "by-weight"}),
		"FREIGHT_TEMPLATE_NOT_FOUND")
	twice := proto.CloneOf(whole)
	twice.Rules = append(twice.Rules, &freightv1.FreightRule{Country: "CN", Region: " tibet"})
	wantReason(t, upsertTemplate(service, "t1", twice), "INVALID_REQUEST")
	for request, tmpl := range map[string]*freightv1.FreightTemplate{"t1": flat("by-weight", 1), "t2": flat("flat", 500)} {
		if err := upsertTemplate(service, request, tmpl); err != nil {
			t.Fatal(err)
		}
	}
	// All rules are replaced, and a late retry does not bring the old ones back.
	if err := upsertTemplate(service, "t3", whole); err != nil {
		t.Fatal(err)
	}
	if err := upsertTemplate(service, "t1", flat("by-weight", 1)); err != nil {
		t.Fatal(err)
	}
	wantReason(t, upsertTemplate(service, "t1", flat("by-weight", 2)), "REQUEST_ID_REUSED")
	wantPages(t, service, whole, flat("flat", 500))

	methods := []*freightv1.DeliveryMethod{
		{Name: "standard", Title: "Standard", Template: "flat", Position: 1},
		{Name: "express", Title: "Express", Template: "by-weight", Position: 2},
	}
	for _, m := range methods {
		if err := upsertMethod(service, "m-"+m.GetName(), m); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := service.ListDeliveryMethods(ctx, &freightv1.ListDeliveryMethodsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(methods, listed.GetMethods(), protocmp.Transform()); diff != "" {
		t.Errorf("methods (-want +got):\n%s", diff)
	}
	wantOffers(t, pool)
	deleteStandard(t, service)
}

// Whoever comes first, no method is left without its template.
func TestATemplateIsDeletedWhileAMethodComes(t *testing.T) {
	ctx := context.Background()
	pool := testdb.NewPool(t)
	service := freight.NewService(freight.Options{Pool: pool, Clock: time.Now})
	for round := range 20 {
		name := fmt.Sprintf("t%d", round)
		if err := upsertTemplate(service, "up-"+name, flat(name, 1)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var deleting, adding error
		wg.Go(func() {
			_, deleting = service.DeleteFreightTemplate(ctx,
				&freightv1.DeleteFreightTemplateRequest{RequestId: "del-" + name, Name: name})
		})
		wg.Go(func() {
			adding = upsertMethod(service, "add-"+name, &freightv1.DeliveryMethod{Name: name, Title: name, Template: name})
		})
		wg.Wait()
		if (deleting == nil) == (adding == nil) {
			t.Fatalf("round %d: deleted %v, added %v; want exactly one of them", round, deleting, adding)
		}
		if deleting != nil {
			wantReason(t, deleting, "FREIGHT_TEMPLATE_IN_USE")
		} else {
			wantReason(t, adding, "FREIGHT_TEMPLATE_NOT_FOUND")
		}
	}
}
