package prepare_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func TestADefinitionIsNeverReplacedByAnEarlierOne(t *testing.T) {
	ctx, js := context.Background(), testnats.Run(t).JetStream(t)
	if err := ensureBuckets(ctx, js); err != nil {
		t.Fatal(err)
	}
	if told, err := prepare.Published(ctx, js, uid); told != nil || err != nil {
		t.Errorf("nothing was published, and it is %v, %v", told, err)
	}
	version := func(made, generation int64, change func(*flashv1.Promotion)) *flashv1.Promotion {
		p := newPromotion(1, 2, prepare.Item{SKU: "tea"})
		p.MadeUnixMs, p.Generation = made, generation
		if change != nil {
			change(p)
		}
		return p
	}
	paused := func(p *flashv1.Promotion) { p.Paused = true }
	closed := func(p *flashv1.Promotion) { p.Closed = true }
	for _, tt := range []struct {
		name  string
		promo *flashv1.Promotion
		older bool
		// want is what is there afterwards; nil: the promo.
		want *flashv1.Promotion
	}{
		{name: "the first", promo: version(1000, 2, nil)},
		{name: "a later generation", promo: version(1000, 3, paused)},
		{name: "an earlier one", promo: version(1000, 2, nil), older: true, want: version(1000, 3, paused)},
		{name: "one of nobody knows which", promo: version(0, 0, nil), older: true, want: version(1000, 3, paused)},
		{name: "the same again", promo: version(1000, 3, paused)},
		{name: "of one that was made later", promo: version(2000, 1, nil)},
		{name: "of the one before, however often it changed", promo: version(1000, 9, paused), older: true,
			want: version(2000, 1, nil)},
		{name: "closed", promo: version(2000, 1, closed)},
		{name: "not closed any more", promo: version(2000, 2, nil), want: version(2000, 2, closed)},
	} {
		_, err := prepare.Publish(ctx, js, tt.promo)
		var older *prepare.OlderError
		if errors.As(err, &older) != tt.older || err != nil && !tt.older {
			t.Fatalf("%s: %v", tt.name, err)
		}
		want := tt.want
		if want == nil {
			want = tt.promo
		}
		if told, err := prepare.Published(ctx, js, uid); err != nil || !proto.Equal(told, want) {
			t.Errorf("%s: pods are told %v (%v), want %v", tt.name, told, err, want)
		}
	}
}
