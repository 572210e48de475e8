package buyers

import (
	"strings"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
)

// provider is one that a buyer pays through.
type provider struct{ name, method string }

var (
	sandbox = provider{name: "sandbox"}
	// simulated ones are paid by one buyer in oneElsewhere each.
	simulated    = []provider{{"wechatpay", "native"}, {"alipay", "precreate"}, {"stripe", "payment_intent"}}
	oneElsewhere = uint32(9)
)

// providerOf an order, always the same.
func (r *run) providerOf(o order) provider {
	if r.plan.ProvidersURL == "" {
		return sandbox
	}
	if n := int(share(o) % oneElsewhere); n < len(simulated) {
		return simulated[n]
	}
	return sandbox
}

// page is where the buyer pays: the sandbox's own, or the simulator's for the number that the
// provider knows the payment by. A notification of a simulated provider comes three times.
func (p provider) page(simulatorURL string, payment *paymentv1.CreatePaymentResponse) string {
	if p == sandbox {
		return payment.GetRedirectUrl()
	}
	number := strings.ReplaceAll(payment.GetPayment().GetPaymentId(), "-", "")
	if secret, ok := payment.GetSdkParams()["clientSecret"]; ok {
		number, _, _ = strings.Cut(secret, "_secret_")
	}
	return simulatorURL + "/pay/" + p.name + "/" + number + "?fault=duplicated"
}
