package dev_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testdev"
)

var _ = Describe("A shop for development", func() {
	It("prints calls that work, and has its data when it comes back", func() {
		s := testdev.New(program)
		s.Run()
		token, curls := calls(s)
		Expect(sh(token, curls[0])).To(And(ContainSubstring(`"tea-1"`), ContainSubstring(`"phone-x"`)))
		Expect(sh(token, curls[1])).To(ContainSubstring(`"orderId"`))
		placed := sh(token, curls[2])
		Expect(placed).To(ContainSubstring(`"tea-1"`))

		By("being killed")
		s.Kill()
		s.Run()
		again, curls := calls(s)
		Expect(sh(again, curls[2])).To(Equal(placed))
		// The tokens of before hold too.
		Expect(sh(token, curls[2])).To(Equal(placed))

		By("being asked to stop")
		s.Interrupt()
		s.Run("-reset")
		token, curls = calls(s)
		Expect(sh(token, curls[2])).NotTo(ContainSubstring("tea-1"))
	})

	It("says what is wrong with its command line", func() {
		s := testdev.New(program, "-f", "nowhere.yaml")
		Expect(s.Start()).To(Succeed())
		s.Says(`orderd dev: -f: stat nowhere\.yaml: no such file or directory`)
		taken := testdev.New(program)
		other := testdev.New(program, "-port", fmt.Sprint(taken.Port))
		taken.Run()
		Expect(other.Start()).To(Succeed())
		other.Says(fmt.Sprintf(`port %d is in use`, taken.Port))
	})
})

// manifest of a sale that starts in a moment.
const manifest = `apiVersion: orderd.dev/v1alpha1
kind: PromotionEvent
metadata: {name: tea-hour, namespace: shop}
spec:
  orderClusterRef: {name: shop}
  currency: CNY
  startTime: %q
  endTime: %q
  prewarm: 1s
  items:
  - {sku: tea-1, price: 900, stock: %d, limitPerBuyer: 2}
  traffic: {expectedPeakRPS: 100}
`

var _ = Describe("A sale whose manifest is in a file", func() {
	It("is held, follows edits, goes on after a sudden death, and is settled", func(ctx SpecContext) {
		folder := GinkgoT().TempDir()
		file := filepath.Join(folder, "sale.yaml")
		start, end := time.Now().Add(20*time.Second), time.Now().Add(time.Hour)
		write := func(stock int, change ...string) {
			GinkgoHelper()
			text := fmt.Sprintf(manifest, start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339), stock)
			// As an editor does: the whole file at once.
			next := file + "~"
			Expect(os.WriteFile(next, []byte(strings.NewReplacer(change...).Replace(text)), 0o600)).To(Succeed())
			Expect(os.Rename(next, file)).To(Succeed())
		}
		write(20, "stock", "stok")
		s := testdev.New(program, "-f", folder)
		s.Run()
		s.Says(`sale\.yaml, document 1: PromotionEvent in version "v1alpha1" .* unknown field "spec\.items\[0\]\.stok"`)
		write(20_000)
		s.Says(`tea-hour: .*insufficient stock, missing tea-1: \d+; nothing of them was taken`)
		Expect(strings.Count(s.Said(), "unknown field")).To(Equal(1), "what is wrong is said once")
		write(20)
		s.Says(`sale\.yaml, document 1: .*stock may only grow, never shrink`)

		By("taking the file away and bringing another one")
		Expect(os.Remove(file)).To(Succeed())
		s.Says(`tea-hour: its end has passed before any stock was taken`)
		start = time.Now().Add(2 * time.Second)
		write(20)
		s.Says(`tea-hour: ready: 20 units of 1 items in \d+ partitions`)
		s.Says(`tea-hour: live`)
		token, _ := calls(s)
		buy := fmt.Sprintf(`curl -s http://127.0.0.1:%d/orderd.flash.v1.FlashService/PlaceFlashOrder `+
			`-H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d `, s.Port+1)
		order := func(request string, quantity int) string {
			return buy + fmt.Sprintf(`'{"promotion": "tea-hour", "requestId": %q, `+
				`"items": [{"sku": "tea-1", "quantity": %d}]}'`, request, quantity)
		}
		accepted := sh(token, order("one", 2))
		Expect(accepted).To(ContainSubstring(`"orderId"`))
		Expect(sh(token, order("two", 1))).To(ContainSubstring("LIMIT_PER_BUYER"))
		s.Says(`tea-hour: 2 sold, 18 left`)

		By("emptying the file by mistake")
		Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
		s.Says(`tea-hour's manifest: it is in no file any more; the sale goes on`)

		By("being killed in the middle")
		s.Kill()
		s.Run()
		Eventually(func() string { return sh(token, order("one", 2)) }).WithTimeout(testdev.Patience).Should(Equal(accepted))
		write(30)
		s.Says(`tea-hour: StockAdded: taken from stock: 10 of tea-1`)
		s.Says(`tea-hour: 2 sold, 28 left`)
		end = time.Now().Add(2 * time.Second)
		write(30)
		s.Says(`tea-hour: SaleShortened: `)

		By("being killed while it is settled")
		s.Says(`tea-hour: ended: `)
		s.Kill()
		s.Run()
		s.Says(`tea-hour: goes on; it was Draining`)
		s.Says(`tea-hour: tea-1: of 30 units 2 sold, 28 returned`)
		s.Says(`tea-hour: settled: 2 units sold, 28 returned to stock`)
		// Buyers are not told how many there are.
		staff, err := issuer.Ask(ctx, s.URL(2), []issuer.Claim{{Subject: "wms", Roles: []string{"fulfilment-sync"}}})
		Expect(err).NotTo(HaveOccurred())
		ask := fmt.Sprintf(`curl -s %s/orderd.catalog.v1.CatalogService/GetSku -H "Authorization: Bearer $TOKEN" `+
			`-H "Content-Type: application/json" -d '{"sku": "tea-1"}'`, s.URL(0))
		Expect(sh("export TOKEN="+staff[0], ask)).To(MatchRegexp(`"available": ?"9998"`))
	})
})
