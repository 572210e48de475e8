package backends

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func TestAnAccountIsOneOrderClustersAlone(t *testing.T) {
	server := testnats.Run(t)
	r := newRegistry(t, nil, defaultLimits())
	ctx := reconcileContext(t)
	first, second := orderCluster("first", server.URL()), orderCluster("second", server.URL())
	second.Spec.Paused = ptr.To(true)
	if err := r.CheckMessaging(ctx, second); err != nil {
		t.Errorf("a paused one on an account that is nobody's: %v", err)
	}
	if _, err := server.JetStream(t).KeyValue(ctx, sale.AccountBucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a paused one stamped the account: %v", err)
	}
	if _, err := r.JetStream(ctx, first); err != nil {
		t.Fatal(err)
	}
	for _, paused := range []bool{true, false} {
		second.Spec.Paused = &paused
		if err := r.CheckMessaging(ctx, second); reason(err) != v1alpha1.ReasonAccountInUse ||
			!strings.Contains(err.Error(), "OrderCluster shops/first (UID first)") {
			t.Errorf("the second, paused: %v: %v", paused, err)
		}
		if _, err := r.JetStream(ctx, second); reason(err) != v1alpha1.ReasonAccountInUse {
			t.Errorf("the second has it all the same: %v", err)
		}
	}

	// One of the same name is the same one's next life, as far as this operator knows.
	again := first.DeepCopy()
	again.UID = types.UID("again")
	if _, err := r.JetStream(ctx, again); err != nil {
		t.Errorf("made anew: %v", err)
	}
	// Another operator knows of no former life.
	elsewhere := newRegistry(t, nil, defaultLimits())
	if _, err := elsewhere.JetStream(ctx, first); reason(err) != v1alpha1.ReasonAccountInUse {
		t.Errorf("one of the same name elsewhere: %v", err)
	}

	r.Forget(client.ObjectKeyFromObject(again))
	if err := r.CheckMessaging(ctx, second); err != nil {
		t.Errorf("after the first was deleted: %v", err)
	}
	// An operator that ends gives nothing back.
	r.Close()
	if err := elsewhere.CheckMessaging(ctx, first); reason(err) != v1alpha1.ReasonAccountInUse {
		t.Errorf("after the operator ended: %v", err)
	}
	first.Annotations = map[string]string{v1alpha1.AnnotationTakeAccount: "second"}
	if err := elsewhere.CheckMessaging(ctx, first); err != nil {
		t.Errorf("taken over on purpose: %v", err)
	}
	// What was known to be its own is looked at again by each check.
	if err := r.CheckMessaging(ctx, second); reason(err) != v1alpha1.ReasonAccountInUse {
		t.Errorf("taken over by another: %v", err)
	}
}
