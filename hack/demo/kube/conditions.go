package kube

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions in one line, for people.
func Conditions(conditions []metav1.Condition) string {
	lines := make([]string, 0, len(conditions))
	for _, c := range conditions {
		line := c.Type + "=" + string(c.Status) + " (" + c.Reason
		if c.Message != "" {
			line += ": " + c.Message
		}
		lines = append(lines, line+")")
	}
	return strings.Join(lines, "; ")
}
