package carrier

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/orderd-dev/orderd/orderd/kit/wholefile"
)

// told is a parcel as Control tells it.
type told struct {
	Parcel
	TrackingNumber string  `json:"tracking_number"`
	Events         []Event `json:"events"`
	Cancelled      bool    `json:"cancelled"`
}

func tell(p Parcel) told { return told{p, p.TrackingNumber, p.Events, p.Cancelled} }

// stored is a parcel as a Simulator's file has it.
type stored struct {
	told
	Asked int    `json:"asked"`
	Body  []byte `json:"body"`
}

// Restore brings back the parcels of the file that Options.State names, if it is there.
func (s *Simulator) Restore() error {
	raw, err := os.ReadFile(s.o.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var all []stored
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		return fmt.Errorf("reading the carrier's parcels: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range all {
		p := one.Parcel
		p.TrackingNumber, p.Events, p.Cancelled, p.Asked, p.body =
			one.TrackingNumber, one.Events, one.Cancelled, one.Asked, one.Body
		s.parcels[p.ShipmentID] = &p
		if p.TrackingNumber != "" {
			s.order = append(s.order, p.ShipmentID)
			s.count++
		}
	}
	return nil
}

// save writes all parcels to the file that Options.State names. The lock is held.
func (s *Simulator) save() error {
	if s.o.State == "" {
		return nil
	}
	all := make([]stored, 0, len(s.parcels))
	keep := func(p *Parcel) {
		all = append(all, stored{tell(*p), p.Asked, p.body})
	}
	for _, id := range s.order {
		keep(s.parcels[id])
	}
	for _, p := range s.parcels {
		if p.TrackingNumber == "" {
			keep(p)
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return wholefile.Write(s.o.State, raw)
}
