package main

import (
	"context"
	"fmt"
	"time"
)

// fault begins one unless one is on, and says how it ends.
func (w *walk) fault(_ context.Context, p *place) (string, error) {
	if w.trouble != nil {
		return "", nil
	}
	faults := []struct {
		name  string
		begin func(*place) (end func() error)
	}{
		{"API server in trouble", w.apiTrouble},
		{"API server answers one thing", w.apiTrouble},
		{"old caches", w.oldCaches},
		{"NATS restarts", natsRestarts},
		{"NATS cut off", natsCut},
		{"database cut off", databaseCut},
		{"operator killed", w.killed},
		{"operator ended", w.ended},
		{"operator paused", w.pausedOperator},
		{"migrations fail", w.migrationsFail},
		{"pods do not start", w.podsHeld},
	}
	f := faults[w.random.IntN(len(faults))]
	length := 300*time.Millisecond + time.Duration(w.random.Int64N(int64(4*time.Second)))
	if f.name == "operator paused" {
		// Long enough for another one to lead.
		length = 12 * time.Second
	}
	w.trouble, w.troubleEnds = f.begin(p), time.Now().Add(length)
	w.faults[f.name]++
	return fmt.Sprintf("%s for %s", f.name, length.Round(time.Millisecond)), nil
}

func (w *walk) endTrouble() error {
	end := w.trouble
	w.trouble = nil
	return end()
}

func (w *walk) fairGateway() error {
	w.gateway.fair()
	return nil
}

func (w *walk) apiTrouble(*place) func() error {
	all := []answer{conflict, refusal, quota, busy, failure, hang, lost, cutOff}
	if w.random.IntN(2) == 0 {
		n := w.random.IntN(len(all))
		all = all[n : n+1]
	}
	w.gateway.trouble(0.1+0.5*w.random.Float64(), all...)
	return w.fairGateway
}

func (w *walk) oldCaches(*place) func() error {
	w.gateway.hold()
	return w.fairGateway
}

func natsRestarts(p *place) func() error {
	p.stopNATS()
	return p.startNATS
}

// natsCut ends the connections at first, and then keeps new ones without an answer.
func natsCut(p *place) func() error {
	p.messaging.stuff()
	return p.fair
}

func databaseCut(p *place) func() error {
	p.database.cut()
	return p.fair
}

func (w *walk) killed(*place) func() error {
	o := w.operators[w.random.IntN(len(w.operators))]
	o.kill()
	return o.start
}

func (w *walk) ended(*place) func() error {
	o := w.operators[w.random.IntN(len(w.operators))]
	o.end()
	return o.start
}

// pausedOperator is one that takes itself for the leader when it goes on.
func (w *walk) pausedOperator(*place) func() error {
	o := w.operators[w.random.IntN(len(w.operators))]
	o.pause()
	return func() error {
		o.resume()
		return nil
	}
}

func (w *walk) migrationsFail(*place) func() error {
	for _, k := range w.kubelets {
		k.failJobs.Store(true)
	}
	return w.fairKubelets
}

func (w *walk) podsHeld(*place) func() error {
	for _, k := range w.kubelets {
		k.holdPods.Store(true)
	}
	return w.fairKubelets
}

func (w *walk) fairKubelets() error {
	for _, k := range w.kubelets {
		k.failJobs.Store(false)
		k.holdPods.Store(false)
	}
	return nil
}

// fair ends all faults; two operators run afterwards.
func (w *walk) fair() error {
	if w.trouble != nil {
		if err := w.endTrouble(); err != nil {
			return err
		}
	}
	w.gateway.fair()
	_ = w.fairKubelets()
	for _, p := range w.places {
		if err := p.fair(); err != nil {
			return err
		}
	}
	return w.startOperators()
}

// startOperators starts those that have ended: one that lost its Lease ends itself, for Kubernetes to start it again.
func (w *walk) startOperators() error {
	for _, o := range w.operators {
		if err := o.start(); err != nil {
			return err
		}
	}
	return nil
}
