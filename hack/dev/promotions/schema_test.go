package promotions

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const sample = "../../../config/samples/40-promotionevent.yaml"

// manifestOf is the sample, with texts in it replaced.
func manifestOf(t *testing.T, replace ...string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the sample has no %q", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	manifest, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

func newSchema(t *testing.T) *Schema {
	t.Helper()
	s, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheSampleIsAdmitted(t *testing.T) {
	p, err := newSchema(t).Admit(t.Context(), manifestOf(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "singles-day" || len(p.Spec.Items) != 3 || p.Spec.Items[0].Stock != 1000 || p.ReadyDeadline().IsZero() {
		t.Errorf("it was read as %+v", p.Spec)
	}
}

func TestWhatIsNotValidIsRefusedByItsField(t *testing.T) {
	s := newSchema(t)
	for name, test := range map[string]struct {
		replace []string
		want    []string
	}{
		"an unknown field": {
			[]string{"stock: 1000,", "stok: 1000, stock: 1000,"},
			[]string{`strict decoding error: unknown field "spec.items[0].stok"`},
		},
		"an unknown field of metadata": {
			[]string{"  name: singles-day", "  name: singles-day\n  labls: {}"}, []string{`unknown field "metadata.labls"`},
		},
		"a rule that is broken": {
			[]string{`endTime: "2027-11-10T16:10:00Z"`, `endTime: "2027-11-10T15:10:00Z"`},
			[]string{`PromotionEvent.orderd.dev "singles-day" is invalid: spec.endTime`, "endTime must be after startTime"},
		},
		"several at once": {
			[]string{"price: 199900", "price: -1", "currency: CNY", "currency: cny"},
			[]string{"spec.items[0].price", "spec.currency"},
		},
		"a type": {
			[]string{"stock: 1000", `stock: "many"`},
			[]string{"spec.items", "some validation rules were not checked"},
		},
		"a SKU twice":      {[]string{"sku: earbuds-pro", "sku: phone-x"}, []string{"spec.items[1]", "Duplicate value"}},
		"a name":           {[]string{"name: singles-day", "name: Singles"}, []string{"metadata.name", "RFC 1123"}},
		"no name":          {[]string{"name: singles-day", "labels: {}"}, []string{"metadata.name", "Required value"}},
		"a field is gone":  {[]string{"  currency: CNY\n", ""}, []string{"spec.currency", "Required value"}},
		"too much of time": {[]string{"prewarm: 20s", "prewarm: 25h"}, []string{"spec.prewarm", "at most 24h"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Admit(t.Context(), manifestOf(t, test.replace...), nil)
			wantParts(t, err, test.want)
		})
	}
}

func wantParts(t *testing.T, err error, parts []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\ndoes not say %q", err, part)
		}
	}
}

func TestEditsAreHeldToTheRules(t *testing.T) {
	s := newSchema(t)
	first, err := s.Admit(t.Context(), manifestOf(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Status.Phase, first.Status.Partitions = v1alpha1.PhaseLive, 8
	for name, test := range map[string]struct{ replace, want []string }{
		"more stock": {[]string{"stock: 1000", "stock: 1500"}, nil},
		"less stock": {[]string{"stock: 1000", "stock: 900"}, []string{"spec.items", "never shrink"}},
		"another currency": {
			[]string{"currency: CNY", "currency: EUR"}, []string{"spec.currency", "must not change"},
		},
		"the start of a live sale": {
			[]string{`startTime: "2027-11-10T16:00:00Z"`, `startTime: "2027-11-10T16:01:00Z"`},
			[]string{"spec.startTime", "once the promotion is live"},
		},
		"a later end": {[]string{`endTime: "2027-11-10T16:10:00Z"`, `endTime: "2027-11-10T16:20:00Z"`}, nil},
		"a status of its own": {
			[]string{"spec:\n", "status: {phase: Settled}\nspec:\n"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := s.Admit(t.Context(), manifestOf(t, test.replace...), first)
			if test.want != nil {
				wantParts(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.Status, p.Status); diff != "" {
				t.Errorf("the status is not the one of before: %s", diff)
			}
		})
	}
}

func TestDocumentsOfAFile(t *testing.T) {
	all := documentsOf("a.yaml", []byte(strings.Join([]string{
		"# nothing\n", "kind: Secret\n", "kind: PromotionEvent\napiVersion: orderd.dev/v1alpha1\nmetadata: {name: a}\n",
		"kind: PromotionEvent\napiVersion: orderd.dev/v2\n", "kind: [\n", "a: 1\na: 2\n",
		"kind: List\napiVersion: v1\nitems:\n- kind: Secret\n" +
			"- {kind: PromotionEvent, apiVersion: orderd.dev/v1alpha1, metadata: {name: b}}\n" +
			"- {kind: PromotionEvent, apiVersion: orderd.dev/v2}\n- 1\n",
		"kind: PromotionEventList\napiVersion: orderd.dev/v1alpha1\nitems:\n" +
			"- {kind: PromotionEvent, apiVersion: orderd.dev/v1alpha1, metadata: {name: c}}\n",
	}, "---\n")))
	var got []string
	for _, d := range all {
		line := d.source + ": " + d.name()
		if d.err != nil {
			line = d.source + ": error"
		}
		got = append(got, line)
	}
	want := []string{
		"a.yaml, document 3: a", "a.yaml, document 4: error", "a.yaml, document 5: error", "a.yaml, document 6: error",
		"a.yaml, document 7, items[1]: b", "a.yaml, document 7, items[2]: error", "a.yaml, document 7, items[3]: error",
		"a.yaml, document 8, items[0]: c",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
