package owner_test

import (
	"context"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// board is what a process knows of the levels of all partitions, by broadcasts that get lost and
// come late.
type board struct {
	table  *levels.Table
	sender *levels.Sender
}

func newBoard(w *world) *board {
	b := &board{table: levels.NewTable(), sender: levels.NewSender()}
	b.table.SetPromotions(map[string]*promotion.Promotion{"sale": w.promo.Load()})
	return b
}

// broadcast tells all pods the levels of the process's own partitions, from time to time.
func (s *process) broadcast() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(levels.Every):
		}
		s.gate()
		if !s.pod.live() {
			continue
		}
		now := time.Now()
		for _, message := range s.board.sender.Messages(s.pod.name, now, now, s.readings()) {
			s.board.table.Observe("sale", message, now)
			for _, other := range s.pod.w.pods {
				if other != s.pod {
					s.send(other, message)
				}
			}
		}
	}
}

func (s *process) send(to *pod, message *flashv1.Levels) {
	if f := s.pod.w.weather.call(); f.arrives {
		time.AfterFunc(f.there, func() {
			if process := to.alive(); process != nil {
				process.gate()
				process.board.table.Observe("sale", message, time.Now())
			}
		})
	}
}

func (s *process) readings() []levels.Reading {
	ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
	defer cancel()
	s.mu.Lock()
	owners := make(map[int32]*owner.Owner, len(s.owners))
	for n, o := range s.owners {
		owners[n] = o
	}
	s.mu.Unlock()
	var readings []levels.Reading
	for n := range s.pod.w.partitions {
		if o := owners[n]; o != nil && o.Serving() {
			if read, err := o.Levels(ctx); err == nil {
				readings = append(readings, levels.Reading{Partition: n, Levels: read})
			}
		}
	}
	return readings
}

// soldOut is the pod's mark.
func (s *process) soldOut(sku string) (int64, bool) {
	return s.board.table.Mark("sale", sku, time.Now())
}

func (s *process) level(n int32, sku string) int64 { return s.board.table.Level("sale", n, sku) }

// refusesFirst is what a pod does with a request that its buyer never sent before.
func (s *process) refusesFirst(r *flashv1.PlaceFlashOrderRequest) error {
	if !r.GetFirstAttempt() {
		return nil
	}
	for _, item := range r.GetItems() {
		if left, ok := s.soldOut(item.GetSku()); ok && item.GetQuantity() > left {
			return refusal.SoldOut(item.GetSku(), left)
		}
	}
	return nil
}
