package report

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// Refusal is the reason for a condition, and the API server's own words if it answered: ApplyRefused if the same would
// be refused again, ApplyFailed if it may be taken the next time.
func Refusal(err error) (reason, words string) {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return v1alpha1.ReasonApplyFailed, err.Error()
	}
	status := answer.Status()
	words = status.Message
	if words == "" {
		words = err.Error()
	}
	switch status.Code {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return v1alpha1.ReasonApplyFailed, words
	}
	if status.Code >= http.StatusBadRequest && status.Code < http.StatusInternalServerError {
		return v1alpha1.ReasonApplyRefused, words
	}
	return v1alpha1.ReasonApplyFailed, words
}
