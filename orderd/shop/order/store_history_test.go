package order

import "testing"

func TestBuyersAreNotToldWhichOfTheStaffActed(t *testing.T) {
	for actor, want := range map[string]string{"staff": "staff", "staff rita": "staff", "provider alipay": "provider alipay", "buyer": "buyer"} {
		if got := forBuyers(actor); got != want {
			t.Errorf("%q becomes %q, want %q", actor, got, want)
		}
	}
}
