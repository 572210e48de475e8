package samples_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/testdev"
)

var _ = Describe("The samples", Ordered, func() {
	var (
		s    *testdev.Shop
		sale string
	)
	BeforeAll(func() {
		sale = saleInAnHour()
		s = testdev.New(filepath.Join(programs, "dev"), "-f", sale)
		s.Run()
	})

	It("buy from a Go program", func(ctx SpecContext) {
		out := run(exec.CommandContext(ctx, filepath.Join(programs, "journey"), "-shop", s.URL(0), "-issuer", s.URL(2)))
		Expect(out).To(MatchRegexp(`(?s)^on sale: .*
on sale: tea-1, Green tea, 1999 CNY
in the cart: 2 of tea-1
to pay: 3998 CNY with freight of 0
order (\S+): ORDER_STATE_PENDING_PAYMENT
order (\S+): ORDER_STATE_PAID
$`))
	}, SpecTimeout(testdev.Patience))

	It("buy from a page", func(ctx SpecContext) {
		browser := strings.TrimSpace(run(exec.CommandContext(ctx, filepath.Join(root, "hack/tools/browser.sh"), "path")))
		run(exec.CommandContext(ctx, filepath.Join(root, "hack/tools/gen/typescript.sh"), "build"))
		folder := filepath.Join(root, "docs/samples/shop")
		npm := func(env []string, args ...string) {
			GinkgoHelper()
			cmd := exec.CommandContext(ctx, "npm", args...)
			cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
			GinkgoWriter.Println(run(cmd))
		}
		npm(nil, "ci", "--ignore-scripts", "--prefer-offline", "--no-progress")
		npm(nil, "run", "build")
		site := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(folder, "dist"))))
		DeferCleanup(site.Close)
		where := url.Values{"shop": {s.URL(0)}, "flash": {s.URL(1)}, "issuer": {s.URL(2)}}
		npm([]string{
			"BROWSER=" + browser, "PAGE=" + site.URL + "/?" + where.Encode(), "SALE=" + sale, "no_proxy=127.0.0.1",
		}, "test")
	}, SpecTimeout(5*testdev.Patience))
})

// saleInAnHour is a file with the sale of config/samples, which starts in an hour: the page's test
// moves it.
func saleInAnHour() string {
	GinkgoHelper()
	raw, err := os.ReadFile(filepath.Join(root, "config/samples/40-promotionevent.yaml"))
	Expect(err).NotTo(HaveOccurred())
	text := string(raw)
	for field, in := range map[string]time.Duration{"startTime": time.Hour, "endTime": 2 * time.Hour} {
		line := regexp.MustCompile(`(?m)^  ` + field + `: ".*"$`)
		Expect(line.FindAllString(text, -1)).To(HaveLen(1))
		text = line.ReplaceAllString(text, `  `+field+`: "`+time.Now().Add(in).UTC().Format(time.RFC3339)+`"`)
	}
	file := filepath.Join(GinkgoT().TempDir(), "sale.yaml")
	Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
	return file
}
