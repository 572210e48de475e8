package sale_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func owner(uid string) sale.Owner {
	return sale.Owner{Namespace: "shops", Name: "shop-" + uid, UID: uid}
}

// usedBy is the UID of whom an error says that the account is in use by; "" if it does not.
func usedBy(err error) string {
	var used *sale.AccountInUseError
	if !errors.As(err, &used) {
		return ""
	}
	return used.Owner.UID
}

func TestOfManyWhoClaimAnAccountOneGetsIt(t *testing.T) {
	server := testnats.Run(t)
	const many = 8
	errs := make([]error, many)
	var group, read sync.WaitGroup
	read.Add(many)
	for i := range many {
		// All have seen that it is nobody's before the first of them writes.
		seen := sync.OnceFunc(func() { read.Done(); read.Wait() })
		js, err := jetstream.New(server.Connect(t), jetstream.WithClientTrace(&jetstream.ClientTrace{
			ResponseReceived: func(subject string, _ []byte, _ nats.Header) {
				if strings.Contains(subject, ".GET.") {
					seen()
				}
			},
		}))
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() { errs[i] = sale.ClaimAccount(t.Context(), js, owner(strconv.Itoa(i)), 1) })
	}
	group.Wait()
	js := server.JetStream(t)
	winner := ""
	for i, err := range errs {
		if err == nil {
			if winner != "" {
				t.Errorf("both %s and %d have the account", winner, i)
			}
			winner = strconv.Itoa(i)
		}
	}
	for i, err := range errs {
		if err != nil && usedBy(err) != winner {
			t.Errorf("%d, with %s as the owner: %v", i, winner, err)
		}
	}
	if err := sale.ClaimAccount(t.Context(), js, owner(winner), 1); err != nil {
		t.Errorf("the owner itself: %v", err)
	}
	if err := sale.CheckAccount(t.Context(), js, owner(winner)); err != nil {
		t.Errorf("the owner itself: %v", err)
	}
}

func TestAnAccountIsTakenOverOnPurposeOnly(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	ctx := t.Context()
	if err := sale.CheckAccount(ctx, js, owner("a")); err != nil {
		t.Errorf("nobody's account: %v", err)
	}
	if _, err := js.KeyValue(ctx, sale.AccountBucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("to look at an account changed it: %v", err)
	}
	if err := sale.ClaimAccount(ctx, js, owner("a"), 1); err != nil {
		t.Fatal(err)
	}
	for _, from := range [][]string{nil, {""}, {"c"}} {
		if err := sale.ClaimAccount(ctx, js, owner("b"), 1, from...); usedBy(err) != "a" {
			t.Errorf("taken over from %v: %v", from, err)
		}
	}
	if err := sale.CheckAccount(ctx, js, owner("b")); usedBy(err) != "a" {
		t.Errorf("another one's account: %v", err)
	}
	if err := sale.ClaimAccount(ctx, js, owner("b"), 1, "", "a"); err != nil {
		t.Errorf("taken over on purpose: %v", err)
	}
	if err := sale.ClaimAccount(ctx, js, owner("a"), 1); usedBy(err) != "b" {
		t.Errorf("the former owner: %v", err)
	}
}

func TestAnAccountThatIsGivenBackIsTheNextOnes(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	ctx := t.Context()
	if err := sale.ReleaseAccount(ctx, js, owner("a")); err != nil {
		t.Errorf("there is none: %v", err)
	}
	if err := sale.ClaimAccount(ctx, js, owner("a"), 1); err != nil {
		t.Fatal(err)
	}
	if err := sale.ReleaseAccount(ctx, js, owner("b")); err != nil {
		t.Errorf("another one's: %v", err)
	}
	if err := sale.CheckAccount(ctx, js, owner("b")); usedBy(err) != "a" {
		t.Errorf("another one gave it back: %v", err)
	}
	for _, uid := range []string{"a", "b", "a"} {
		if err := sale.ClaimAccount(ctx, js, owner(uid), 1); err != nil {
			t.Errorf("%s: %v", uid, err)
		}
		if err := sale.ReleaseAccount(ctx, js, owner(uid)); err != nil {
			t.Errorf("%s: %v", uid, err)
		}
	}
}
