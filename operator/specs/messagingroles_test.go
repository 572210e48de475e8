package specs

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// withRoles has credentials for each role in one Secret.
func withRoles() (*v1alpha1.OrderCluster, Material) {
	c, m := sample(), material()
	c.Spec.Messaging.CredentialsSecretRef = nil
	c.Spec.Messaging.RoleCredentialsSecretRef = &v1alpha1.SecretReference{Name: "roles"}
	m.Secrets["roles"] = map[string][]byte{
		"flash.creds": []byte("f"), "worker.creds": []byte("w"), "standard.creds": []byte("s"), "operator.creds": []byte("o"),
	}
	return c, m
}

func TestARolesCredentialsAreItsPodsAlone(t *testing.T) {
	c, _ := withRoles()
	for _, pool := range Pools() {
		var keys []string
		for _, m := range messagingMounts(c, pool) {
			if m.volume.Secret != nil && *m.volume.Secret.SecretName == "roles" {
				for _, item := range m.volume.Secret.Items {
					keys = append(keys, *item.Key+" as "+*m.path.MountPath+"/"+*item.Path)
				}
			}
		}
		want := []string{pool + ".creds as " + Settings(c).Messaging.CredentialsFile}
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("%s mounts (-want +got):\n%s", pool, diff)
		}
	}
	for _, key := range []string{"flash.creds", "worker.creds", "standard.creds", "operator.creds"} {
		if !slices.Contains(SecretRefs(c), v1alpha1.SecretKeyReference{Name: "roles", Key: key}) {
			t.Errorf("nobody looks whether %s is there", key)
		}
	}
}

func TestARolesCredentialsRollItsPodsAlone(t *testing.T) {
	for role, want := range map[string][]string{
		v1alpha1.PoolFlash: {v1alpha1.PoolFlash}, v1alpha1.PoolWorker: {v1alpha1.PoolWorker},
		v1alpha1.PoolStandard: {v1alpha1.PoolStandard}, v1alpha1.RoleOperator: nil,
	} {
		var rolled []string
		for _, pool := range Pools() {
			c, m := withRoles()
			before, err := NewStart(c, pool, m, idKey, "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			m.Secrets["roles"][role+".creds"] = []byte("new")
			after, err := NewStart(c, pool, m, idKey, "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			if before.Hash != after.Hash {
				rolled = append(rolled, pool)
			}
		}
		if diff := cmp.Diff(want, rolled); diff != "" {
			t.Errorf("%s.creds rolls (-want +got):\n%s", role, diff)
		}
	}
}
