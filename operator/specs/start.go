package specs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// Material is what pods mount beside their configuration, as it is now.
type Material struct {
	// Secrets has the data of each Secret that the spec names, by its name.
	Secrets map[string]map[string][]byte
	// Trust has the certificates of spec.trust; empty: none.
	Trust string
}

// Start is what a pool's pods are started with.
type Start struct {
	// Config is the part of the configuration that the pool reads, and ConfigMap the name of the object that holds it.
	// Each content has an object of its own, so that a pod which starts again in the middle of a roll reads what it
	// read before.
	Config, ConfigMap string
	// Hash changes when what the pods have read is not so any more.
	Hash string
	// By is the version of the operator that had the pods started like this.
	By string
}

// NewStart is for one pool. The hash is over data and not over versions of objects, so that a label on a
// Secret restarts nobody, and is keyed by the order id key, 32 random bytes, so that nothing can be
// learnt of a password from it.
func NewStart(c *v1alpha1.OrderCluster, pool string, m Material, orderIDKey, operator string) (Start, error) {
	cfg := Settings(c).Of(config.Role(pool))
	rendered, err := cfg.Overrides()
	if err != nil {
		return Start{}, fmt.Errorf("rendering the configuration of OrderCluster %s: %w", c.Name, err)
	}
	h := hmac.New(sha256.New, []byte(orderIDKey))
	add := func(part string) { fmt.Fprintf(h, "%d %s", len(part), part) }
	add(rendered)
	add(orderIDKey)
	add(m.Trust)
	for _, ref := range readOnce(c, pool) {
		data := m.Secrets[ref.Name]
		if ref.Key != "" {
			data = map[string][]byte{ref.Key: data[ref.Key]}
		}
		raw, err := json.Marshal(data)
		if err != nil {
			return Start{}, fmt.Errorf("reading Secret %s: %w", ref.Name, err)
		}
		add(ref.Name)
		add(string(raw))
	}
	return Start{
		Config:    rendered,
		ConfigMap: PoolName(c.Name, pool) + "-" + hash(rendered)[:10],
		Hash:      hex.EncodeToString(h.Sum(nil))[:16],
		By:        operator,
	}, nil
}

// configMap of a pool's pods. It cannot be changed: another configuration has another one.
func configMap(c *v1alpha1.OrderCluster, pool string, start Start) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(start.ConfigMap, c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithImmutable(true).
		WithData(map[string]string{configKey: start.Config})
}

// Secrets of a spec, by who mounts them.
func databaseRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	return some(&c.Spec.Database.URLSecretRef, c.Spec.Database.CASecretRef)
}

func messagingRefs(c *v1alpha1.OrderCluster, pool string) []v1alpha1.SecretKeyReference {
	return some(c.Spec.Messaging.CASecretRef, c.MessagingCredentials(pool))
}

// allMessagingRefs are those of all pools and the operator, each once.
func allMessagingRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	refs := some(c.Spec.Messaging.CASecretRef)
	for _, role := range append(Pools(), v1alpha1.RoleOperator) {
		for _, ref := range some(c.MessagingCredentials(role)) {
			if !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

func paymentRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	var refs []v1alpha1.SecretKeyReference
	for i, p := range c.Spec.Payments {
		refs = append(refs, some(p.SecretRef)...)
		if p.KeysSecretRef == nil {
			continue
		}
		// All of it is mounted, and these have to be there.
		refs = append(refs, v1alpha1.SecretKeyReference{Name: p.KeysSecretRef.Name})
		for _, file := range payments(c)[i].Files() {
			refs = append(refs, v1alpha1.SecretKeyReference{Name: p.KeysSecretRef.Name, Key: file})
		}
	}
	return refs
}

func carrierRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	var refs []v1alpha1.SecretKeyReference
	for _, carrier := range c.Spec.Carriers {
		refs = append(refs, carrier.SecretRef)
	}
	return refs
}

func pushRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	if n := c.Spec.Notifications; n != nil {
		return some(&n.SecretRef)
	}
	return nil
}

func trustRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	if t := c.Spec.Trust; t != nil {
		return some(t.SecretRef)
	}
	return nil
}

// renewedRefs are read again by whoever mounts them when they are renewed.
func renewedRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	var refs []v1alpha1.SecretKeyReference
	pairs := []*v1alpha1.SecretReference{
		c.Spec.Database.ClientCertificateSecretRef, c.Spec.Messaging.ClientCertificateSecretRef,
	}
	if c.Spec.TLS != nil {
		pairs = append(pairs, &c.Spec.TLS.SecretRef)
	}
	for _, ref := range pairs {
		if ref != nil {
			refs = append(refs, v1alpha1.SecretKeyReference{Name: ref.Name, Key: corev1.TLSCertKey},
				v1alpha1.SecretKeyReference{Name: ref.Name, Key: corev1.TLSPrivateKeyKey})
		}
	}
	return refs
}

// readOnce are the Secrets that a pool's pods mount and read only when they start; one without a key as a whole.
func readOnce(c *v1alpha1.OrderCluster, pool string) []v1alpha1.SecretKeyReference {
	refs := messagingRefs(c, pool)
	if pool == v1alpha1.PoolFlash {
		return refs
	}
	refs = append(append(append(refs, databaseRefs(c)...), paymentRefs(c)...), carrierRefs(c)...)
	if pool == v1alpha1.PoolWorker {
		refs = append(refs, pushRefs(c)...)
	}
	return refs
}

// some are those that are set.
func some(refs ...*v1alpha1.SecretKeyReference) []v1alpha1.SecretKeyReference {
	var out []v1alpha1.SecretKeyReference
	for _, ref := range refs {
		if ref != nil {
			out = append(out, *ref)
		}
	}
	return out
}
