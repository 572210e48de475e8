package run

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestInfo(t *testing.T) {
	want := `# HELP orderd_operator_info 1, labelled with the operator's version.
# TYPE orderd_operator_info gauge
orderd_operator_info{version="0.1.0-14-g4d69daa"} 1
`
	if err := testutil.CollectAndCompare(info("0.1.0-14-g4d69daa"), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
