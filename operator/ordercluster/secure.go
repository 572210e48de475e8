package ordercluster

import (
	"context"
	"strings"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// checkSecure tells what somebody on the way could read or change, and what one broken disk would lose.
func (r *Reconciler) checkSecure(_ context.Context, s *scope) error {
	found := append(insecure(s.cluster.Spec), s.handset...)
	if len(found) == 0 {
		s.report.True(v1alpha1.ConditionSecure, v1alpha1.ReasonSecure,
			"everything is reached by TLS that is verified, and JetStream keeps copies; whether its servers sync before they"+
				" acknowledge cannot be seen from their account, and must be so (sync_interval: always)")
		return nil
	}
	before := s.report.Get(v1alpha1.ConditionSecure)
	message := strings.Join(found, "; ")
	if before == nil || before.Message != message {
		s.report.Warning(v1alpha1.ReasonInsecure, "Connect", "%s", message)
	}
	s.report.False(v1alpha1.ConditionSecure, v1alpha1.ReasonInsecure, "%s", message)
	return nil
}

// insecure is what the spec allows that production should not have.
func insecure(spec v1alpha1.OrderClusterSpec) []string {
	var found []string
	add := func(is bool, what string) {
		if is {
			found = append(found, what)
		}
	}
	allowed := func(b *bool) bool { return b != nil && *b }
	add(allowed(spec.Database.Insecure), "database.insecure is true: its URL need not verify the server")
	add(strings.Contains(spec.Messaging.URL, "nats://"), "messaging.url is nats://, in clear text")
	add(spec.Messaging.Replicas == nil || *spec.Messaging.Replicas == 1,
		"messaging.replicas is 1: what is only in JetStream is lost with one server's disk")
	add(plain(spec.Auth.JWKSURL), "auth.jwksURL is http://: whoever is on the way can be everybody")
	for _, c := range spec.Carriers {
		add(plain(c.URL), "carriers["+c.Name+"].url is http://")
	}
	if n := spec.Notifications; n != nil {
		add(plain(n.URL), "notifications.url is http://")
	}
	for _, p := range spec.Payments {
		add(plain(p.PublicURL), "payments["+string(p.Provider)+"].publicURL is http://")
		for _, value := range p.Settings {
			if plain(value) {
				add(true, "payments["+string(p.Provider)+"].settings have an http:// URL")
				break
			}
		}
	}
	return found
}

func plain(url string) bool { return strings.HasPrefix(url, "http://") }
