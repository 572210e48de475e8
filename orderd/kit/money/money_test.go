package money_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/money"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name    string
		total   int64
		weights []int64
		want    []int64
	}{
		{name: "exact", total: 100, weights: []int64{1, 3}, want: []int64{25, 75}},
		{name: "the rest goes to whom rounding cost most", total: 100, weights: []int64{1, 2, 4}, want: []int64{14, 29, 57}},
		{name: "of equal losses the earlier one", total: 100, weights: []int64{1, 1, 1}, want: []int64{34, 33, 33}},
		{name: "no weight, nothing", total: 5, weights: []int64{0, 1, 0}, want: []int64{0, 5, 0}},
		{name: "only zeros: evenly", total: 5, weights: []int64{0, 0, 0}, want: []int64{2, 2, 1}},
		{name: "negative total", total: -100, weights: []int64{1, 2, 4}, want: []int64{-14, -29, -57}},
		{name: "nothing to divide", total: 0, weights: []int64{1, 2}, want: []int64{0, 0}},
		{name: "nobody to divide to", total: 7},
		{
			name:    "the largest",
			total:   math.MaxInt64,
			weights: []int64{math.MaxInt64, math.MaxInt64},
			want:    []int64{math.MaxInt64/2 + 1, math.MaxInt64 / 2},
		},
		{name: "the smallest", total: math.MinInt64, weights: []int64{1}, want: []int64{math.MinInt64}},
		{
			name:    "weights beyond 64 bits",
			total:   4,
			weights: []int64{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64},
			want:    []int64{1, 1, 1, 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, money.Split(tt.total, tt.weights)); diff != "" {
				t.Errorf("Split(%d, %v) (-want +got):\n%s", tt.total, tt.weights, diff)
			}
		})
	}
}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, math.MaxInt64).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/128), 1, 100).Draw(t, "weights")
		parts := money.Split(total, weights)
		sum, whole := new(big.Int), new(big.Int)
		for i := range parts {
			sum.Add(sum, big.NewInt(parts[i]))
			whole.Add(whole, big.NewInt(weights[i]))
		}
		if sum.Cmp(big.NewInt(total)) != 0 {
			t.Fatalf("parts %v sum to %s, not %d", parts, sum, total)
		}
		if whole.Sign() == 0 {
			return
		}
		for i := range parts {
			exact := new(big.Int).Mul(big.NewInt(total), big.NewInt(weights[i]))
			exact.Div(exact, whole)
			if d := parts[i] - exact.Int64(); d < 0 || d > 1 {
				t.Fatalf("part %d of %d is %d, its exact share is %s", i, total, parts[i], exact)
			}
			for j := range parts {
				if weights[i] > weights[j] && parts[i] < parts[j] {
					t.Fatalf("weight %d got %d, less than weight %d with %d", weights[i], parts[i], weights[j], parts[j])
				}
			}
		}
	})
}

func TestSharesSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, math.MaxInt64).Draw(t, "total")
		whole := rapid.Int64Range(1, 50).Draw(t, "whole")
		var done, paid int64
		for done < whole {
			n := rapid.Int64Range(1, whole-done).Draw(t, "units")
			part := money.Share(total, done+n, whole) - money.Share(total, done, whole)
			if part < 0 {
				t.Fatalf("%d more units are worth %d", n, part)
			}
			done, paid = done+n, paid+part
		}
		if paid != total {
			t.Fatalf("shares sum to %d, not %d", paid, total)
		}
	})
}

func TestShareAndRound(t *testing.T) {
	tests := []struct {
		name                     string
		total, part, whole       int64
		wantShare, wantRoundedUp int64
	}{
		{name: "down and up", total: 5, part: 1, whole: 2, wantShare: 2, wantRoundedUp: 3},
		{name: "just below half", total: 100, part: 1249, whole: 10000, wantShare: 12, wantRoundedUp: 12},
		{name: "half", total: 100, part: 1250, whole: 10000, wantShare: 12, wantRoundedUp: 13},
		{name: "all", total: 7, part: 9, whole: 9, wantShare: 7, wantRoundedUp: 7},
		{name: "more than all", total: 7, part: 10, whole: 9, wantShare: 7, wantRoundedUp: 7},
		{name: "nothing", total: 7, part: 0, whole: 9},
		{name: "of nothing", total: 7, part: 1, whole: 0},
		{name: "less than nothing", total: -7, part: 1, whole: 2},
		{
			name:          "the largest",
			total:         math.MaxInt64,
			part:          math.MaxInt64 - 1,
			whole:         math.MaxInt64,
			wantShare:     math.MaxInt64 - 1,
			wantRoundedUp: math.MaxInt64 - 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := money.Share(tt.total, tt.part, tt.whole); got != tt.wantShare {
				t.Errorf("Share = %d, want %d", got, tt.wantShare)
			}
			if got := money.Round(tt.total, tt.part, tt.whole); got != tt.wantRoundedUp {
				t.Errorf("Round = %d, want %d", got, tt.wantRoundedUp)
			}
		})
	}
}

func TestMulAndAddTellOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(0, math.MaxInt64).Draw(t, "a")
		b := rapid.Int64Range(0, math.MaxInt64).Draw(t, "b")
		product, fits := money.Mul(a, b)
		want := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		if fits != want.IsInt64() || (fits && product != want.Int64()) {
			t.Fatalf("Mul(%d, %d) = %d, %t", a, b, product, fits)
		}
		sum, fits := money.Add(a, b)
		want = new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		if fits != want.IsInt64() || (fits && sum != want.Int64()) {
			t.Fatalf("Add(%d, %d) = %d, %t", a, b, sum, fits)
		}
	})
	if _, fits := money.Mul(-1, 1); fits {
		t.Error("a negative factor is no amount")
	}
	if _, fits := money.Add(-1, 1); fits {
		t.Error("a negative summand is no amount")
	}
}
