// Package config is the file that an orderd pod is started with: data only. The operator writes it
// into the OrderCluster's ConfigMap; secrets are named by the files they are mounted as.
package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Role is what a pod does: one a pool.
type Role string

const (
	// RoleStandard serves orders, payments and queries.
	RoleStandard Role = "standard"
	// RoleFlash serves the flash lane. It has no database connection.
	RoleFlash Role = "flash"
	// RoleWorker runs the materializer, expiry, releases and the outbox relay.
	RoleWorker Role = "worker"
)

// Roles are all roles, in the order the operator lists its pools.
func Roles() []Role { return []Role{RoleStandard, RoleFlash, RoleWorker} }

// Config is one OrderCluster's settings, the same file for all roles.
type Config struct {
	// Cluster is the OrderCluster's namespace and name, joined by a slash; a label on metrics.
	Cluster   string    `json:"cluster"`
	HTTP      HTTP      `json:"http"`
	Database  Database  `json:"database"`
	Messaging Messaging `json:"messaging"`
	Orders    Orders    `json:"orders"`
	Flash     Flash     `json:"flash"`
	Worker    Worker    `json:"worker"`
	Payments  []Payment `json:"payments,omitempty"`
	Carriers  []Carrier `json:"carriers,omitempty"`
	Push      Push      `json:"push,omitzero"`
	Auth      Auth      `json:"auth"`
}

// HTTP has the listeners and their limits.
type HTTP struct {
	// Address of the RPCs for apps, as host:port.
	Address string `json:"address"`
	// AdminAddress of /livez, /readyz and /metrics.
	AdminAddress string `json:"adminAddress"`
	// PeerAddress of the calls between orderd's pods; flash role only.
	PeerAddress string `json:"peerAddress"`
	// MaxBodyBytes is the largest request body, after decompression.
	MaxBodyBytes int `json:"maxBodyBytes"`
	// MaxInFlight is how many unary requests a pod works on at once at the very most; how many it
	// is at a time follows from how long they take (see orderd/overload). More are refused with
	// UNAVAILABLE/OVERLOADED. Streams are not counted.
	MaxInFlight int `json:"maxInFlight"`
	// RequestTimeout bounds a request from its first byte to its answer.
	RequestTimeout Duration `json:"requestTimeout"`
	// DrainDelay is how long a pod keeps answering after SIGTERM, until those who send to it know.
	DrainDelay Duration `json:"drainDelay"`
	// DrainTimeout bounds what is still in flight after SIGTERM.
	DrainTimeout Duration `json:"drainTimeout"`
	// AllowedOrigins are the sites whose pages may call the RPCs for apps from a browser, as
	// scheme://host or scheme://host:port, as browsers write them. The port may be *: any.
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`
	// Reflection tells whoever asks, without a token, what RPCs there are and of what they are made
	// (gRPC's server reflection).
	Reflection bool `json:"reflection,omitempty"`
}

// Database is the SQL database of the standard and worker roles, and of the migration.
type Database struct {
	// URLFile holds a postgres:// URL.
	URLFile string `json:"urlFile"`
	// MaxConnections a pod opens.
	MaxConnections int32 `json:"maxConnections"`
}

// Messaging is the NATS system of promotions and order events.
type Messaging struct {
	// URL, or several joined by commas.
	URL string `json:"url"`
	// CredentialsFile is a NATS .creds file; empty: none.
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// Replicas of every stream and bucket: 1, 3 or 5.
	Replicas int `json:"replicas"`
}

// Orders has the rules of the order life cycle, for the standard role, and the flash role's order
// ids.
type Orders struct {
	// PaymentTimeout of an order of the standard lane.
	PaymentTimeout Duration `json:"paymentTimeout"`
	// IDKeyFile holds the key, 16 bytes or more, that buyers are hashed with in order ids.
	IDKeyFile string `json:"idKeyFile"`
	// PlaceBatch is how many orders that are placed at once share a transaction, at most.
	PlaceBatch int `json:"placeBatch"`
	// QuoteTTL is how long a quote's token can be placed.
	QuoteTTL Duration `json:"quoteTTL"`
	// CompleteAfter is how long after its delivery an order is completed by itself.
	CompleteAfter Duration `json:"completeAfter"`
	// ReturnWindow is how long after its delivery goods of an order can be returned.
	ReturnWindow Duration `json:"returnWindow"`
}

// Flash is how the flash pool is reached.
type Flash struct {
	// PeerURL is the flash pool's PeerService. Workers release stock through it, and standard pods
	// find orders by it that are not in the database yet. Empty: there is no flash pool; workers
	// need one.
	PeerURL string `json:"peerURL"`
	// MaxClockSkew is how far a flash pod's clock may be from the cluster's before the pod is not
	// ready; 0: 500 ms.
	MaxClockSkew Duration `json:"maxClockSkew,omitempty"`
}

// Worker has the worker role's rates.
type Worker struct {
	// MaterializePerSecond is how many flash orders a pod writes to the database a second, at most.
	MaterializePerSecond int `json:"materializePerSecond"`
	// MaterializeConcurrency is how many transactions a pod has open for that at once, at most. One
	// promotion has one less.
	MaterializeConcurrency int `json:"materializeConcurrency"`
}

// Payment is one configured payment provider.
type Payment struct {
	// Provider is its name: sandbox, stripe, alipay or wechatpay.
	Provider string `json:"provider"`
	// SecretFile holds the key its notifications are signed with; sandbox only.
	SecretFile string `json:"secretFile,omitempty"`
	// SecretDir holds the files of the provider's keys and certificates; all but sandbox. The
	// provider's package names them.
	SecretDir string `json:"secretDir,omitempty"`
	// Settings that are no secrets, such as merchant, app id and the API's base URL. The provider's
	// package names them.
	Settings map[string]string `json:"settings,omitempty"`
	// PublicURL is this OrderCluster's base URL as a buyer's app sees it.
	PublicURL string `json:"publicURL"`
	// NotifyURL is this OrderCluster's base URL as the provider sees it.
	NotifyURL string `json:"notifyURL"`
}

// Carrier is one carrier that parcels go with; the first takes what names none.
type Carrier struct {
	// Name in the API.
	Name string `json:"name"`
	// URL is the base URL of its API.
	URL string `json:"url"`
	// SecretFile holds the key that requests to it, and its pushes, are signed with.
	SecretFile string `json:"secretFile"`
}

// Push is the gateway that tells buyers' devices what happened to their orders; no URL: nobody is
// told.
type Push struct {
	// URL that messages are posted to.
	URL string `json:"url,omitempty"`
	// SecretFile holds the key (whsec_…) that they are signed with, by Standard Webhooks.
	SecretFile string `json:"secretFile,omitempty"`
}

// Auth is who issues callers' tokens.
type Auth struct {
	// Issuer and Audience that a token must name.
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// JWKSURL has the issuer's keys.
	JWKSURL string `json:"jwksURL"`
	// RequestsPerSecond is what one buyer or member of staff may do at a pod; Burst at once.
	RequestsPerSecond int `json:"requestsPerSecond"`
	Burst             int `json:"burst"`
	// ServiceRequestsPerSecond and ServiceBurst are the same for one service, which acts for many
	// buyers; 0: no limit but the pod's.
	ServiceRequestsPerSecond int `json:"serviceRequestsPerSecond,omitempty"`
	ServiceBurst             int `json:"serviceBurst,omitempty"`
}

// Default has every setting that has a sensible value of its own.
func Default() Config {
	return Config{
		HTTP: HTTP{
			Address: ":8080", AdminAddress: ":8081", PeerAddress: ":8082",
			MaxBodyBytes: 64 << 10, MaxInFlight: 4096,
			RequestTimeout: Duration(10 * time.Second),
			DrainDelay:     Duration(3 * time.Second), DrainTimeout: Duration(20 * time.Second),
		},
		Database:  Database{MaxConnections: 16},
		Messaging: Messaging{Replicas: 1},
		Orders: Orders{
			PaymentTimeout: Duration(30 * time.Minute), PlaceBatch: 128, QuoteTTL: Duration(15 * time.Minute),
			CompleteAfter: Duration(10 * 24 * time.Hour), ReturnWindow: Duration(15 * 24 * time.Hour),
		},
		Auth:   Auth{RequestsPerSecond: 50, Burst: 100},
		Worker: Worker{MaterializePerSecond: 2000, MaterializeConcurrency: 4},
	}
}

// Load reads a file over the defaults. Unknown fields are refused.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading config: %w", err)
	}
	c := Default()
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return Config{}, fmt.Errorf("parsing config %s: %w", path, err)
	}
	return c, nil
}

// Validate names every setting that the role needs and that is missing or out of range, each by a
// [FieldError]. Payment providers' settings are checked when the providers are made.
func (c Config) Validate(role Role) error {
	if !slices.Contains(Roles(), role) {
		return fmt.Errorf("role %q: must be standard, flash or worker", role)
	}
	var f FieldErrors
	c.HTTP.validate(&f)
	c.Messaging.validate(&f)
	if role != RoleFlash {
		c.Database.validate(&f)
	}
	if role != RoleWorker {
		f.Need(c.Flash.MaxClockSkew >= 0, "flash.maxClockSkew", "must not be negative")
		f.Need(c.Orders.IDKeyFile != "", "orders.idKeyFile", "must be set")
		c.Auth.validate(&f)
	}
	if role == RoleStandard {
		f.Need(c.Orders.PaymentTimeout > 0, "orders.paymentTimeout", "must be positive")
		f.Need(c.Orders.PlaceBatch > 0, "orders.placeBatch", "must be positive")
		f.Need(c.Orders.QuoteTTL > 0, "orders.quoteTTL", "must be positive")
		f.Need(c.Orders.ReturnWindow > 0, "orders.returnWindow", "must be positive")
	}
	if role == RoleWorker {
		f.Need(c.Flash.PeerURL != "", "flash.peerURL", "must be set")
		f.Need(c.Orders.CompleteAfter > 0, "orders.completeAfter", "must be positive")
		f.Need(c.Worker.MaterializePerSecond > 0, "worker.materializePerSecond", "must be positive")
		f.Need(c.Worker.MaterializeConcurrency > 0, "worker.materializeConcurrency", "must be positive")
	}
	if role != RoleFlash {
		validateCarriers(&f, c.Carriers)
		f.Need(c.Push.URL == "" || c.Push.SecretFile != "", "push.secretFile", "must be set")
	}
	return f.Err()
}

func (h HTTP) validate(f *FieldErrors) {
	f.Need(h.MaxBodyBytes > 0, "http.maxBodyBytes", "must be positive")
	f.Need(h.MaxInFlight > 0, "http.maxInFlight", "must be positive")
	f.Need(h.RequestTimeout > 0, "http.requestTimeout", "must be positive")
	f.Need(h.DrainTimeout > 0, "http.drainTimeout", "must be positive")
	for i, origin := range h.AllowedOrigins {
		f.Need(IsOrigin(origin), fmt.Sprintf("http.allowedOrigins[%d]", i),
			"must be scheme://host or scheme://host:port, as a browser writes it: no path, and no port that is the scheme's own")
	}
}

func (d Database) validate(f *FieldErrors) {
	f.Need(d.URLFile != "", "database.urlFile", "must be set")
	f.Need(d.MaxConnections > 0, "database.maxConnections", "must be positive")
}

func (m Messaging) validate(f *FieldErrors) {
	f.Need(m.URL != "", "messaging.url", "must be set")
	f.Need(slices.Contains([]int{1, 3, 5}, m.Replicas), "messaging.replicas", "must be 1, 3 or 5")
}

func (a Auth) validate(f *FieldErrors) {
	f.Need(a.Issuer != "", "auth.issuer", "must be set")
	f.Need(a.Audience != "", "auth.audience", "must be set")
	f.Need(a.JWKSURL != "", "auth.jwksURL", "must be set")
	f.Need(a.RequestsPerSecond > 0, "auth.requestsPerSecond", "must be positive")
	f.Need(a.Burst > 0, "auth.burst", "must be positive")
	f.Need(a.ServiceRequestsPerSecond >= 0, "auth.serviceRequestsPerSecond", "must not be negative")
	f.Need(a.ServiceRequestsPerSecond == 0 || a.ServiceBurst > 0, "auth.serviceBurst", "must be positive")
}

func validateCarriers(f *FieldErrors, carriers []Carrier) {
	names := map[string]bool{}
	for i, carrier := range carriers {
		path := fmt.Sprintf("carriers[%d].", i)
		f.Need(carrier.Name != "" && !names[carrier.Name], path+"name", "must be set, and different for each")
		f.Need(carrier.URL != "", path+"url", "must be set")
		f.Need(carrier.SecretFile != "", path+"secretFile", "must be set")
		names[carrier.Name] = true
	}
}

// Duration is a time.Duration written as text, such as 30m.
type Duration time.Duration

// MarshalText writes the duration as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration takes.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// ReadSecret returns a mounted secret without surrounding white space.
func ReadSecret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("secret %s is empty", path)
	}
	return secret, nil
}
