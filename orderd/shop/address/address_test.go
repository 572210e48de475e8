package address_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

type book struct {
	*testing.T
	*address.Service
}

func home(street string) *addressv1.Address {
	return &addressv1.Address{
		Recipient:  "Ann",
		Phone:      "+86 571 12345",
		Country:    "CN",
		Region:     "Zhejiang",
		City:       "Hangzhou",
		District:   "Xihu",
		Street:     street,
		PostalCode: "310000",
	}
}

func (b *book) save(request, buyer, id, street string, isDefault bool) (string, error) {
	got, err := b.SaveAddress(context.Background(), &addressv1.SaveAddressRequest{
		RequestId: request, BuyerId: buyer, AddressId: id, Address: home(street), IsDefault: isDefault,
	})
	return got.GetAddress().GetAddressId(), err
}

func (b *book) mustSave(request, id, street string, isDefault bool) string {
	b.Helper()
	saved, err := b.save(request, "ann", id, street, isDefault)
	if err != nil {
		b.Fatal(err)
	}
	return saved
}

// want checks Ann's list: the streets in order, the default with a star.
func (b *book) want(want ...string) {
	b.Helper()
	got, err := b.ListAddresses(context.Background(), &addressv1.ListAddressesRequest{BuyerId: "ann"})
	if err != nil {
		b.Fatal(err)
	}
	var streets []string
	for _, a := range got.GetAddresses() {
		street := a.GetAddress().GetStreet()
		if a.GetIsDefault() {
			street += "*"
		}
		streets = append(streets, street)
	}
	if diff := cmp.Diff(want, streets); diff != "" {
		b.Errorf("Ann's addresses (-want +got):\n%s", diff)
	}
}

func (b *book) wantReason(err error, want string) {
	b.Helper()
	if got := rpcerr.Reason(err); got != want {
		b.Errorf("got %v (%s), want %s", err, got, want)
	}
}

func TestAddresses(t *testing.T) {
	ctx := context.Background()
	pool := testdb.NewPool(t)
	// A clock that goes on with every look, so that addresses have an age.
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := &book{
		T: t,
		Service: address.NewService(
			address.Options{Pool: pool, Clock: func() time.Time { now = now.Add(time.Second); return now }, Random: rand.Reader},
		),
	}

	first := b.mustSave("r1", "", "one", false)
	second := b.mustSave("r2", "", "two", false)
	b.want("one*", "two")
	if again := b.mustSave("r2", "", "two", false); again != second {
		t.Errorf("a retry saved another address")
	}
	_, err := b.save("r2", "ann", "", "other", false)
	b.wantReason(err, "REQUEST_ID_REUSED")
	b.mustSave("r3", "", "three", true)
	b.want("three*", "one", "two")
	// Replacing keeps the age, and the default stays one.
	b.mustSave("r4", first, "one, changed", false)
	b.want("three*", "one, changed", "two")
	b.mustSave("r5", second, "two", true)
	b.mustSave("r6", second, "two, changed", false)
	b.want("two, changed*", "one, changed", "three")

	_, err = b.save("r1", "bob", first, "mine now", false)
	b.wantReason(err, "ADDRESS_NOT_FOUND")
	if _, err := b.DeleteAddress(ctx,
		&addressv1.DeleteAddressRequest{RequestId: "d1", BuyerId: "bob", AddressId: first}); err != nil {
		t.Fatal(err)
	}
	key := func(buyer, id string) address.Key { return address.Key{BuyerID: buyer, ID: uuid.MustParse(id)} }
	found, err := address.Find(ctx, pool,
		[]address.Key{key("ann", first), key("bob", first), key("bob", second), key("ann", uuid.NewString())})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[address.Key]*addressv1.Address{key("ann", first): home("one, changed")}, found,
		protocmp.Transform()); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}

	// The oldest that is left becomes the default.
	for range 2 {
		if _, err := b.DeleteAddress(ctx,
			&addressv1.DeleteAddressRequest{RequestId: "d1", BuyerId: "ann", AddressId: second}); err != nil {
			t.Fatal(err)
		}
		b.want("one, changed*", "three")
	}
}

func TestAddressesAreBoundedUnderConcurrency(t *testing.T) {
	b := &book{
		T:       t,
		Service: address.NewService(address.Options{Pool: testdb.NewPool(t), Clock: time.Now, Random: rand.Reader}),
	}
	const wanted = 60
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for i := range wanted {
		wg.Go(func() {
			if _, err := b.save(fmt.Sprint(i), "ann", "", fmt.Sprint(i), i%2 == 0); err != nil {
				b.wantReason(err, "TOO_MANY_ADDRESSES")
				mu.Lock()
				defer mu.Unlock()
				refused++
			}
		})
	}
	wg.Wait()
	got, err := b.ListAddresses(context.Background(), &addressv1.ListAddressesRequest{BuyerId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defaults := 0
	for _, a := range got.GetAddresses() {
		if a.GetIsDefault() {
			defaults++
		}
	}
	if len(got.GetAddresses()) != 50 || refused != wanted-50 || defaults != 1 {
		t.Errorf("%d addresses, %d of them default, %d refusals", len(got.GetAddresses()), defaults, refused)
	}
}
