package flash

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatienceEndsSecondsLaterForAllWhoCameInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patience
		for range 5 {
			came := time.Now()
			first := p.over(came)
			time.Sleep(patienceStep - time.Millisecond)
			if p.over(time.Now()) != first {
				t.Error("two who came within a second do not share")
			}
			<-first
			if waited := time.Since(came); waited < forwardTimeout || waited > forwardTimeout+patienceStep {
				t.Errorf("waited for %s", waited)
			}
		}
	})
}

func TestAPatientCallerIsGoneForWhoeverAsks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &patient{ctx, nil}
	cancel()
	if p.Err() == nil || p.Done() != nil {
		t.Errorf("error %v", p.Err())
	}
}
