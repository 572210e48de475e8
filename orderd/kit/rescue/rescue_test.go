package rescue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/rescue"
)

func TestDo(t *testing.T) {
	if got, err := rescue.Do(func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("without a panic: %d, %v", got, err)
	}
	wrong := errors.New("wrong")
	if _, err := rescue.Do(func() (int, error) { return 0, wrong }); !errors.Is(err, wrong) {
		t.Errorf("an error becomes %v", err)
	}
	_, err := rescue.Do(func() (int, error) { panic("no such item") })
	var caught *rescue.PanicError
	if !errors.As(err, &caught) || caught.Value != "no such item" || !strings.Contains(err.Error(), "rescue_test.go") {
		t.Errorf("a panic becomes %v", err)
	}
}
