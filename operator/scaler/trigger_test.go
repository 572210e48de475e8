package scaler

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	externalscaler "github.com/orderd-dev/orderd/api/gen/externalscaler"
	"github.com/orderd-dev/orderd/api/v1alpha1"
)

func TestTriggers(t *testing.T) {
	for _, tt := range []struct {
		metadata map[string]string
		want     trigger
		// says is in the error; empty: there is none.
		says string
	}{
		{map[string]string{"orderCluster": "shop"}, trigger{namespace: "ns", orderCluster: "shop", requests: 1000}, ""},
		{map[string]string{
			"orderCluster": "shop", "promotion": "p", "requestsPerReplica": "10000000", "scalerAddress": "a:1",
		},
			trigger{namespace: "ns", orderCluster: "shop", promotion: "p", requests: 10_000_000}, ""},
		{map[string]string{"orderCluster": "shop", "namespace": "ns", "replicas": "3"},
			trigger{namespace: "ns", orderCluster: "shop", replicas: 3}, ""},
		{map[string]string{}, trigger{}, "scalerMetadata.orderCluster: "},
		{map[string]string{"orderCluster": "shop", "namespace": "other"}, trigger{}, "scalerMetadata.namespace: "},
		{map[string]string{"orderCluster": "shop", "requestsPerReplica": "0.5"}, trigger{},
			"scalerMetadata.requestsPerReplica: "},
		{map[string]string{"orderCluster": "shop", "requestsPerReplica": ""}, trigger{},
			"scalerMetadata.requestsPerReplica: "},
		{map[string]string{"orderCluster": "shop", "requestsPerReplica": "10000001"}, trigger{},
			"scalerMetadata.requestsPerReplica: "},
		{map[string]string{"orderCluster": "shop", "replicas": "-1"}, trigger{}, "scalerMetadata.replicas: "},
		{map[string]string{"orderCluster": "shop", "replicas": "1", "requestsPerReplica": "1"}, trigger{},
			"scalerMetadata.replicas: "},
	} {
		got, err := triggerOf(&externalscaler.ScaledObjectRef{Namespace: "ns", ScalerMetadata: tt.metadata})
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v: error %v, want %q in it", tt.metadata, err, tt.says)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(trigger{})); err != nil || diff != "" {
			t.Errorf("%v: %v (-want +got):\n%s", tt.metadata, err, diff)
		}
	}
}

func TestWhenASaleIsOn(t *testing.T) {
	start := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	sale := func(change func(*v1alpha1.PromotionEvent)) *v1alpha1.PromotionEvent {
		p := &v1alpha1.PromotionEvent{Spec: v1alpha1.PromotionEventSpec{
			StartTime: metav1.NewTime(start), EndTime: metav1.NewTime(start.Add(time.Hour)),
			Prewarm: &metav1.Duration{Duration: 10 * time.Minute},
		}}
		change(p)
		return p
	}
	asItIs := func(*v1alpha1.PromotionEvent) {}
	deleted := metav1.NewTime(start.Add(time.Minute))
	for name, tt := range map[string]struct {
		change func(*v1alpha1.PromotionEvent)
		after  time.Duration
		want   bool
	}{
		"before prewarm":       {asItIs, -10*time.Minute - time.Second, false},
		"from prewarm on":      {asItIs, -10 * time.Minute, true},
		"until it ends":        {asItIs, time.Hour - time.Second, true},
		"at its end":           {asItIs, time.Hour, false},
		"deleted in the midst": {func(p *v1alpha1.PromotionEvent) { p.DeletionTimestamp = &deleted }, 2 * time.Minute, false},
		"settled early": {func(p *v1alpha1.PromotionEvent) {
			p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSettled, Status: metav1.ConditionTrue}}
		}, time.Minute, false},
		"paused": {func(p *v1alpha1.PromotionEvent) { paused := true; p.Spec.Paused = &paused }, time.Minute, true},
	} {
		if got := on(sale(tt.change), start.Add(tt.after)); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}

// What the sample asks for is understood.
func TestTheSampleOfAScaledObject(t *testing.T) {
	raw, err := os.ReadFile("../../config/samples/keda/scaledobject.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		Metadata struct{ Namespace string }
		Spec     struct {
			Triggers []struct{ Metadata map[string]string }
		}
	}
	if err := yaml.Unmarshal(raw, &sample); err != nil {
		t.Fatal(err)
	}
	got, err := triggerOf(&externalscaler.ScaledObjectRef{
		Namespace: sample.Metadata.Namespace, ScalerMetadata: sample.Spec.Triggers[0].Metadata,
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (trigger{namespace: "shop", orderCluster: "shop", requests: 2500}); got != want {
		t.Errorf("it asks for %+v, want %+v", got, want)
	}
}
