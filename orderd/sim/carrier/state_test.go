package carrier

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParcelsOutliveTheProcess(t *testing.T) {
	o := Options{Name: "swift", Clock: time.Now, State: filepath.Join(t.TempDir(), "parcels.json")}
	before := restored(t, o)
	send(t, before, http.MethodPut, "a", http.StatusOK)
	send(t, before, http.MethodPut, "b", http.StatusOK)
	send(t, before, http.MethodDelete, "b", http.StatusNoContent)
	send(t, before, http.MethodDelete, "never came", http.StatusNoContent)
	if err := before.Move(t.Context(), "a", "COLLECTED"); err != nil {
		t.Fatal(err)
	}

	after := restored(t, o)
	if diff := cmp.Diff(before.Parcels(), after.Parcels(), cmp.AllowUnexported(Parcel{})); diff != "" {
		t.Error(diff)
	}
	send(t, after, http.MethodPut, "a", http.StatusOK)
	send(t, after, http.MethodDelete, "a", http.StatusConflict)
	send(t, after, http.MethodPut, "never came", http.StatusUnprocessableEntity)
	send(t, after, http.MethodPut, "c", http.StatusOK)
	if p, _ := after.Parcel("c"); p.TrackingNumber != "swift-000003" {
		t.Errorf("the next tracking number is %s", p.TrackingNumber)
	}

	if err := os.WriteFile(o.State, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(o).Restore(); err == nil {
		t.Error("a broken file gave no error")
	}
}

func restored(t *testing.T, o Options) *Simulator {
	t.Helper()
	s := New(o)
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *Simulator, method, id string, want int) {
	t.Helper()
	body := `{"shipment_id":"` + id + `","items":[{"sku":"tea"}],"address":{"recipient":"Ann"}}`
	request := httptest.NewRequestWithContext(t.Context(), method, "/v1/shipments/x", bytes.NewReader([]byte(body)))
	request.URL.Path = "/v1/shipments/" + id
	answer := httptest.NewRecorder()
	s.api.ServeHTTP(answer, request)
	if answer.Code != want {
		t.Errorf("%s %s: %d %s, want %d", method, id, answer.Code, answer.Body, want)
	}
}
