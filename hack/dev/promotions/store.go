package promotions

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/wholefile"
)

// store keeps PromotionEvents, with their status, in a folder: a file a promotion.
type store struct{ folder string }

func (s store) file(name string) string { return filepath.Join(s.folder, name+".json") }

func (s store) load() ([]*v1alpha1.PromotionEvent, error) {
	files, err := filepath.Glob(s.file("*"))
	if err != nil {
		return nil, err
	}
	var all []*v1alpha1.PromotionEvent
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p := &v1alpha1.PromotionEvent{}
		if err := json.Unmarshal(raw, p); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// save so that a crash leaves what was there before, or the new.
func (s store) save(p *v1alpha1.PromotionEvent) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.Write(s.file(p.Name), raw)
}

func (s store) remove(name string) error {
	if err := os.Remove(s.file(name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
