package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/target"
)

// certificatesAnnotation on pods is a hash of the certificates that they show: NATS and the database read them when
// they start.
const certificatesAnnotation = "orderd.dev/certificates"

// applyEval applies NATS and the database with their certificates.
func applyEval(ctx context.Context, t target.Target, log *slog.Logger) error {
	objects, err := t.Kube("").Kustomize(ctx, t.Eval)
	if err != nil {
		return err
	}
	namespace, err := kube.ByKind(objects, "Namespace")
	if err != nil {
		return err
	}
	certificates, err := t.Certificate(namespace.GetName() + ".yaml")
	if err != nil {
		return err
	}
	// The namespace is the first that kustomize writes.
	var all []byte
	for _, o := range objects {
		if o.GetKind() == "StatefulSet" {
			if err := annotate(o, certificates); err != nil {
				return err
			}
		}
		manifest, err := kube.Manifest(o.Object)
		if err != nil {
			return err
		}
		all = append(all, manifest...)
		if o == namespace {
			all = append(all, certificates...)
		}
	}
	log.Info("kubectl apply", "folder", t.Eval)
	return t.Kube("").Apply(ctx, all)
}

// annotate the pods with the certificates' hash.
func annotate(set *unstructured.Unstructured, certificates []byte) error {
	sum := sha256.Sum256(certificates)
	err := unstructured.SetNestedField(set.Object, hex.EncodeToString(sum[:8]), "spec", "template", "metadata",
		"annotations", certificatesAnnotation)
	if err != nil {
		return fmt.Errorf("annotating the pods of %s: %w", set.GetName(), err)
	}
	return nil
}
