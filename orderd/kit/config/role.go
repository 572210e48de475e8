package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"

	"sigs.k8s.io/yaml"
)

// Of is the part of the configuration that pods of a role read; all else is as by default. What is
// not in it may change without them.
func (c Config) Of(role Role) Config {
	part := Default()
	part.Cluster, part.HTTP, part.Messaging = c.Cluster, c.HTTP, c.Messaging
	part.Orders.IDKeyFile = c.Orders.IDKeyFile
	switch role {
	case RoleStandard:
		part.Database, part.Orders, part.Auth = c.Database, c.Orders, c.Auth
		part.Flash.PeerURL = c.Flash.PeerURL
		part.Payments, part.Carriers = c.Payments, c.Carriers
	case RoleFlash:
		part.Auth = c.Auth
		part.Flash.MaxClockSkew = c.Flash.MaxClockSkew
	case RoleWorker:
		// It has nothing that apps call.
		apps := Default().HTTP
		part.HTTP.AllowedOrigins, part.HTTP.CertificateFile, part.HTTP.KeyFile = nil, "", ""
		part.HTTP.MaxConnectionAge, part.HTTP.ConnectionGrace = apps.MaxConnectionAge, apps.ConnectionGrace
		part.Database, part.Worker = c.Database, c.Worker
		part.Orders.CompleteAfter = c.Orders.CompleteAfter
		part.Flash.PeerURL = c.Flash.PeerURL
		part.Payments, part.Carriers, part.Push = c.Payments, c.Carriers, c.Push
	}
	return part
}

// OfMigration is the part that a migration reads.
func (c Config) OfMigration() Config {
	part := Default()
	part.Cluster, part.Database = c.Cluster, c.Database
	return part
}

// Overrides writes the configuration as a file for [Load], without what is as by default: a version
// that has another default, or not yet the setting that nobody changed, reads it as well.
func (c Config) Overrides() (string, error) {
	mine, err := fields(c)
	if err != nil {
		return "", err
	}
	defaults, err := fields(Default())
	if err != nil {
		return "", err
	}
	raw, err := yaml.Marshal(differing(mine, defaults))
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return string(raw), nil
}

func fields(c Config) (map[string]any, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return out, nil
}

// differing are the fields that are not as in other, at any depth.
func differing(mine, other map[string]any) map[string]any {
	out := maps.Clone(mine)
	for name, value := range mine {
		if reflect.DeepEqual(value, other[name]) {
			delete(out, name)
			continue
		}
		inner, ok := value.(map[string]any)
		otherInner, otherOK := other[name].(map[string]any)
		if ok && otherOK {
			out[name] = differing(inner, otherInner)
		}
	}
	return out
}

// Unknown names a field of a file that this version does not know, and [Load] therefore leaves out; nil if
// there is nothing.
func Unknown(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading config: %w", err)
	}
	if err := yaml.UnmarshalStrict(raw, &Config{}); err != nil {
		return fmt.Errorf("config %s: %w", path, err)
	}
	return nil
}
