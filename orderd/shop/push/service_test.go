package push_test

import (
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func wantError(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	if connect.CodeOf(err) != code || rpcerr.Reason(err) != reason {
		t.Errorf("error %v, want %s/%s", err, code, reason)
	}
}

// listTemplates reads all pages: each template's event, its language and whether it is built in.
func listTemplates(t *testing.T, s *push.Service, size int32) (out []string) {
	t.Helper()
	token := ""
	for {
		page, err := s.ListPushTemplates(t.Context(), &pushv1.ListPushTemplatesRequest{PageSize: size, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.GetTemplates() {
			out = append(out, fmt.Sprintf("%s %s %v", p.GetEvent(), p.GetLanguage(), p.GetBuiltIn()))
		}
		if token = page.GetNextPageToken(); token == "" {
			return out
		}
	}
}

func TestTemplates(t *testing.T) {
	ctx := t.Context()
	pool := testdb.NewPool(t)
	s := push.NewService(push.Options{Pool: pool, Clock: time.Now})
	if got := listTemplates(t, s, 0); len(got) != 2*len(push.Types()) {
		t.Errorf("from the start: %v", got)
	}
	req := &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "zh-tw", Title: "謝謝", Body: "{quantity} 件，{total}"},
	}
	for range 2 {
		answer, err := s.UpsertPushTemplate(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.GetTemplate(); got.GetLanguage() != "zh-TW" || got.GetBuiltIn() || got.GetUpdatedAt() == nil ||
			answer.GetExampleBody() != "3 件，259.00 CNY" {
			t.Errorf("answer %v", answer)
		}
	}
	if _, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r2",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Muted: true},
	}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{1, 4, 100} {
		got := listTemplates(t, s, size)
		want := []string{
			"cancelled en true", "cancelled zh true",
			"completed en true", "completed zh true",
			"delivered en true", "delivered zh true",
			"invoice_changed en true", "invoice_changed zh true",
			"paid en false", "paid zh true", "paid zh-TW false",
			"refunded en true", "refunded zh true",
			"return_changed en true", "return_changed zh true",
			"shipped en true", "shipped zh true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	for reason, tmpl := range map[string]*pushv1.PushTemplate{
		"EVENT_UNKNOWN":    {Event: "eaten", Language: "en", Title: "x"},
		"LANGUAGE_INVALID": {Event: "paid", Language: "x!", Title: "x"},
		"TEMPLATE_INVALID": {Event: "paid", Language: "en", Title: "{buyer_id}"},
	} {
		_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{RequestId: "r3", Template: tmpl})
		wantError(t, err, connect.CodeInvalidArgument, reason)
	}
	_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	})
	wantError(t, err, connect.CodeAlreadyExists, "REQUEST_ID_REUSED")
	for range 2 {
		if _, err := s.DeletePushTemplate(ctx,
			&pushv1.DeletePushTemplateRequest{RequestId: "r4", Event: "paid", Language: "en"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.DeletePushTemplate(ctx, &pushv1.DeletePushTemplateRequest{RequestId: "r5", Event: "paid", Language: "en"})
	wantError(t, err, connect.CodeNotFound, "TEMPLATE_NOT_FOUND")
}

func TestThereIsALimitOfTemplates(t *testing.T) {
	ctx := t.Context()
	pool := testdb.NewPool(t)
	s := push.NewService(push.Options{Pool: pool, Clock: time.Now})
	if _, err := pool.Exec(
		ctx,
		"INSERT INTO push_templates (event, language, title, body, muted, updated_at) SELECT 'paid', 'x' || i::text, '', '', true, now() FROM generate_series(1, 1000) AS i",
	); err != nil {
		t.Fatal(err)
	}
	_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	})
	wantError(t, err, connect.CodeResourceExhausted, "TOO_MANY_TEMPLATES")
	if _, err := pool.Exec(ctx, "UPDATE push_templates SET language = 'en' WHERE language = 'x1'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	}); err != nil {
		t.Errorf("changing one that is there: %v", err)
	}
}

func TestLanguages(t *testing.T) {
	ctx := t.Context()
	s := push.NewService(push.Options{Pool: testdb.NewPool(t), Clock: time.Now})
	get := func() string {
		answer, err := s.GetLanguage(ctx, &pushv1.GetLanguageRequest{BuyerId: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetLanguage()
	}
	if got := get(); got != "en" {
		t.Errorf("language %s before one is set", got)
	}
	answer, err := s.SetLanguage(ctx, &pushv1.SetLanguageRequest{RequestId: "r1", BuyerId: "ann", Language: "ZH-tw"})
	if err != nil || answer.GetLanguage() != "zh-TW" || get() != "zh-TW" {
		t.Errorf("answer %v, %v; language %s", answer, err, get())
	}
	_, err = s.SetLanguage(ctx, &pushv1.SetLanguageRequest{RequestId: "r2", BuyerId: "ann", Language: "und"})
	wantError(t, err, connect.CodeInvalidArgument, "LANGUAGE_INVALID")
}
