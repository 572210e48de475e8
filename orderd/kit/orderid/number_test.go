package orderid_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

func TestNumber(t *testing.T) {
	id := uuid.MustParse("0a0b0c0d-0e0f-8019-9c3d-5e7f00000001")
	got := orderid.Number(id)
	if day := orderid.Time(id).Format("060102"); !strings.HasPrefix(got, day+"-") {
		t.Errorf("%s is not of the day %s", got, day)
	}
	if again := orderid.Number(id); again != got {
		t.Errorf("the same id has %s and %s", got, again)
	}
	for _, written := range []string{
		got, strings.ToLower(got), strings.ReplaceAll(got, "-", ""), strings.ReplaceAll(got, "-", " "),
		"\t" + got + "\n", strings.ReplaceAll(got, "-", "–"), strings.ReplaceAll(got, "-", "\u00a0"),
		strings.NewReplacer("0", "O", "1", "l").Replace(got),
	} {
		if number, ok := orderid.ParseNumber(written); !ok || number != got {
			t.Errorf("%q is read as %q, %t; want %s", written, number, ok, got)
		}
	}
	for _, none := range []string{"", got[1:], got + "0", "U" + got[1:], "é" + got[1:], "261130"} {
		if number, ok := orderid.ParseNumber(none); ok {
			t.Errorf("%q is read as %s", none, number)
		}
	}
}

func drawID(t *rapid.T) uuid.UUID {
	return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
}

func TestAMistypedNumberIsNone(t *testing.T) {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	rapid.Check(t, func(t *rapid.T) {
		number := strings.ReplaceAll(orderid.Number(drawID(t)), "-", "")
		i := rapid.IntRange(0, len(number)-1).Draw(t, "place")
		wrong := []byte(number)
		wrong[i] = digits[rapid.IntRange(0, 31).Draw(t, "digit")]
		if _, ok := orderid.ParseNumber(string(wrong)); ok != (string(wrong) == number) {
			t.Fatalf("%s, mistyped as %s, is taken: %t", number, wrong, ok)
		}
	})
}

func TestANumberWithTwoDigitsExchangedIsNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := []byte(strings.ReplaceAll(orderid.Number(drawID(t)), "-", ""))
		// The check digit itself is no place of the sum.
		i := rapid.IntRange(0, len(number)-2).Draw(t, "one")
		j := rapid.IntRange(0, len(number)-2).Draw(t, "other")
		same := number[i] == number[j]
		number[i], number[j] = number[j], number[i]
		if _, ok := orderid.ParseNumber(string(number)); ok != same {
			t.Fatalf("with %d and %d exchanged %s is taken: %t", i, j, number, ok)
		}
	})
}

// Whatever is written: what is taken for a number is one in its own form, and has nothing but digits.
func FuzzParseNumber(f *testing.F) {
	number := orderid.Number(uuid.MustParse("0a0b0c0d-0e0f-8019-9c3d-5e7f00000001"))
	for _, seed := range []string{
		"", number, strings.ToLower(number), number + "\n", "é" + number[1:], "\xff" + number[1:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		number, ok := orderid.ParseNumber(text)
		again, same := orderid.ParseNumber(number)
		if ok && (!same || again != number || len(number) != 20) || !ok && number != "" {
			t.Fatalf("%q is read as %q, %t, and that as %q, %t", text, number, ok, again, same)
		}
	})
}
