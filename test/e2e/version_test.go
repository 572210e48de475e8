//go:build e2e

package e2e

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
)

// The version is said once, by hack/version.sh, and everybody repeats it.
var _ = Describe("the version", Ordered, func() {
	It("is in what was built", func() {
		Expect(cluster.Version).NotTo(BeEmpty())
		for title, reference := range map[string]string{
			"orderd": cluster.Images.Orderd, "orderd-operator": cluster.Images.Operator, "orderd-demo": cluster.Images.Demo,
		} {
			if strings.Contains(reference, "/") {
				By("leaving aside " + reference + ", which is in a registry; hack/images tests what it pushes")
				continue
			}
			labels := imageLabels(reference)
			Expect(labels).To(HaveKeyWithValue("org.opencontainers.image.version", cluster.Version), reference)
			Expect(labels).To(HaveKeyWithValue("org.opencontainers.image.title", title), reference)
		}
	})

	It("is what the chart's release says", func(ctx context.Context) {
		raw, err := up.System.HelmRun(ctx, "list", "--output", "json")
		Expect(err).NotTo(HaveOccurred())
		var releases []map[string]any
		Expect(json.Unmarshal([]byte(raw), &releases)).To(Succeed())
		Expect(releases).To(ContainElement(And(
			HaveKeyWithValue("app_version", cluster.Version), HaveKeyWithValue("chart", "orderd-"+cluster.Version),
		)), raw)
		operator := &appsv1.Deployment{}
		Expect(up.System.Get(ctx, "deployment/orderd-operator", operator)).To(Succeed())
		Expect(operator.Spec.Template.Labels).To(HaveKeyWithValue("app.kubernetes.io/version", cluster.Version))
	})

	It("is what the programs say in their pods", func(ctx context.Context) {
		said := func(pod, program string) string {
			GinkgoHelper()
			k := up.Kube
			if program == "/operator" {
				k = up.System
			}
			out, err := k.Run(ctx, "exec", pod, "--", program, "version")
			Expect(err).NotTo(HaveOccurred())
			return strings.TrimSpace(out)
		}
		Expect(said("deployment/orderd-operator", "/operator")).To(Equal(cluster.Version))
		Expect(said("deployment/outside", "/demo")).To(Equal(cluster.Version))
		for _, role := range []string{"standard", "flash", "worker"} {
			Expect(said("deployment/"+up.Cluster.Name+"-"+role, "/orderd")).To(Equal(cluster.Version), role)
		}
	})

	It("is a label of their metrics", func(ctx context.Context) {
		Expect(metrics(ctx, up.System.Namespace, "deployment/orderd-operator", 8080)).To(
			ContainSubstring(`orderd_operator_info{version="` + cluster.Version + `"} 1`))
		for _, role := range []string{"standard", "flash", "worker"} {
			Expect(metrics(ctx, up.Cluster.Namespace, "deployment/"+up.Cluster.Name+"-"+role, 8081)).To(
				MatchRegexp(`(?m)^orderd_info\{.*version="`+cluster.Version+`"\} 1$`), role)
		}
	})
})

// imageLabels reads an image that hack/images has written as `docker save` would.
func imageLabels(reference string) map[string]string {
	GinkgoHelper()
	file := filepath.Join("..", "..", "bin", "images", strings.ReplaceAll(reference, ":", "_")+".tar")
	var manifest []struct{ Config string }
	Expect(json.Unmarshal(entry(file, "manifest.json"), &manifest)).To(Succeed())
	Expect(manifest).To(HaveLen(1))
	var config struct {
		Config struct{ Labels map[string]string } `json:"config"`
	}
	Expect(json.Unmarshal(entry(file, manifest[0].Config), &config)).To(Succeed())
	return config.Config.Labels
}

// entry is a file's content in an archive.
func entry(archive, name string) []byte {
	GinkgoHelper()
	file, err := os.Open(archive)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		Expect(errors.Is(err, io.EOF)).To(BeFalse(), "%s has no %s", archive, name)
		Expect(err).NotTo(HaveOccurred())
		if header.Name == name {
			content, err := io.ReadAll(reader)
			Expect(err).NotTo(HaveOccurred())
			return content
		}
	}
}

// metrics are what Prometheus would be given.
func metrics(ctx context.Context, namespace, of string, port int) string {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	url := "http://" + forwardIn(namespace, of, port) + "/metrics"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	res, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer res.Body.Close()
	Expect(res.StatusCode).To(Equal(http.StatusOK))
	raw, err := io.ReadAll(res.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}
