package proc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCPUOf(t *testing.T) {
	got, err := cpuOf("4711 (a) name) S 1 4711 4711 0 -1 4194560 1 0 0 0 123 45 0 0 20 0 9 0 100 1 2")
	if err != nil || got != 1680*time.Millisecond {
		t.Errorf("%s, %v", got, err)
	}
	for _, stat := range []string{"", "1 (x) S 1 2 3", "1 (x) S 1 4711 4711 0 -1 4194560 1 0 0 0 x 45 0 0"} {
		if _, err := cpuOf(stat); err == nil {
			t.Errorf("%q is taken", stat)
		}
	}
}

func TestSettingsAreAsTheKubeletWrites(t *testing.T) {
	for _, test := range []struct {
		version, request, limit int
		want                    map[string]string
	}{
		{1, 500, 0, map[string]string{"cpu.shares": "512"}},
		{1, 250, 1500, map[string]string{"cpu.shares": "256", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}},
		{1, 0, 0, map[string]string{"cpu.shares": "2"}},
		{2, 1000, 0, map[string]string{"cpu.weight": "39"}},
		{2, 500, 1000, map[string]string{"cpu.weight": "20", "cpu.max": "100000 100000"}},
	} {
		if diff := cmp.Diff(test.want, settings(test.version, test.request, test.limit)); diff != "" {
			t.Errorf("%+v: %s", test, diff)
		}
	}
}
