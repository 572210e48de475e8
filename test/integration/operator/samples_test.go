package operator_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("The samples", func() {
	It("apply, as they are, without a field that is not known", func(ctx SpecContext) {
		files, err := filepath.Glob("../../../config/samples/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		strict := client.WithFieldValidation(kube.Client, "Strict")
		var kinds []string
		for _, file := range files {
			raw, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4<<10); ; {
				o := &unstructured.Unstructured{}
				err := documents.Decode(&o.Object)
				if errors.Is(err, io.EOF) {
					break
				}
				Expect(err).NotTo(HaveOccurred())
				if o.GetKind() == "Kustomization" {
					continue
				}
				Expect(strict.Create(ctx, o)).To(Succeed(), "%s: %s %s", file, o.GetKind(), o.GetName())
				kinds = append(kinds, o.GetKind())
			}
		}
		Expect(
			kinds,
		).To(ConsistOf("Namespace", "Secret", "Secret", "Secret", "OrderCluster", "Service", "Deployment", "PromotionEvent"))
	})
})
