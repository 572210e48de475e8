package permissions_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/sale/permissions"
)

func TestTheFilesAreCurrent(t *testing.T) {
	for name, want := range map[string]string{"permissions.conf": permissions.Conf(), "users.sh": permissions.NSC()} {
		got, err := os.ReadFile(filepath.Join("../../../config/nats", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: run make generate (-want +got):\n%s", name, diff)
		}
	}
}

// subject is one as a server takes it in permissions, and as a shell takes it in quotation marks.
var subject = regexp.MustCompile(`^([A-Za-z0-9_$-]+|\*)(\.([A-Za-z0-9_$-]+|\*))*(\.>)?$`)

func TestEveryRoleHasItsOwn(t *testing.T) {
	heard := map[string]messaging.Role{}
	for _, role := range messaging.Roles() {
		p := permissions.Of(role)
		for _, s := range slices.Concat(p.Publish, p.DenyPublish, p.Subscribe) {
			if !subject.MatchString(s) || s == ">" {
				t.Errorf("%s: %q", role, s)
			}
		}
		for _, s := range p.Subscribe {
			if other, there := heard[s]; there {
				t.Errorf("%s and %s listen to %s", role, other, s)
			}
			heard[s] = role
		}
		for _, list := range [][]string{p.Publish, p.DenyPublish} {
			if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(slices.Clone(sorted))) != len(list) {
				t.Errorf("%s has a subject twice: %s", role, strings.Join(sorted, " "))
			}
		}
	}
	if diff := cmp.Diff(permissions.Permissions{}, permissions.Of("nobody")); diff != "" {
		t.Error(diff)
	}
}
