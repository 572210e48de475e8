package ordercluster

import (
	"context"
	"errors"
	"strings"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// checkConfig finds out whether pods would start with the settings, as they themselves find out.
func (r *Reconciler) checkConfig(_ context.Context, s *scope) error {
	s.invalid = invalidConfig(specs.Settings(s.cluster))
	if err := specs.CheckPods(s.cluster); err != nil && s.invalid == "" {
		s.invalid = err.Error()
	}
	return nil
}

// invalidConfig says what is wrong with the configuration for any of the roles; "" if nothing.
func invalidConfig(c config.Config) string {
	var found []string
	seen := map[string]bool{}
	for _, role := range config.Roles() {
		var fields config.FieldErrors
		err := c.Of(role).Validate(role)
		if err != nil && !errors.As(err, &fields) {
			return err.Error()
		}
		for _, field := range fields {
			if !seen[field.Error()] {
				found = append(found, field.Error())
			}
			seen[field.Error()] = true
		}
	}
	return strings.Join(found, "; ")
}

// gate says what keeps every pod from being touched: a roll would only replace pods that serve by pods that cannot
// start.
func (s *scope) gate() []report.Problem {
	var found []report.Problem
	if s.invalid != "" {
		text := "the configuration: " + s.invalid
		found = append(found, report.Problem{
			Reason: v1alpha1.ReasonConfigInvalid, Action: "Configure", Key: text, Text: text,
		})
	}
	for _, m := range s.missing {
		p := report.Problem{Reason: m.reason, Action: action("Mount", m.name), Key: m.text, Text: m.text}
		for _, told := range []string{v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady} {
			if c := s.report.Get(told); c != nil && c.Message == m.text {
				p.Action = "" // One event is enough.
			}
		}
		found = append(found, p)
	}
	return found
}
