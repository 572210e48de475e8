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
	// MaxBodyBytes is the largest request body, after decompression, but of RPCs that take a file: see orderd/serve.
	MaxBodyBytes int `json:"maxBodyBytes"`
	// MaxInFlight is how many unary requests a pod works on at once at the very most; how many it
	// is at a time follows from how long they take (see orderd/kit/overload). More are refused with
	// UNAVAILABLE/OVERLOADED. Streams are not counted.
	MaxInFlight int `json:"maxInFlight"`
	// CertificateFile and KeyFile are what the listener of the RPCs for apps shows; unset: it speaks
	// in clear text. They may be renewed at any time.
	CertificateFile string `json:"certificateFile,omitempty"`
	KeyFile         string `json:"keyFile,omitempty"`
	// MaxConnections is how many connections the listener of the RPCs for apps has at once; with more
	// the ones that have been idle for the longest are closed. 0: as many as fit half of the memory
	// limit (GOMEMLIMIT).
	MaxConnections int `json:"maxConnections,omitempty"`
	// MaxBodies is how many bodies of requests the listener of the RPCs for apps waits for at once;
	// with more the ones that have been waited for the longest are given up. 0: as many as fit a
	// quarter of the memory limit if all are of MaxBodyBytes.
	MaxBodies int `json:"maxBodies,omitempty"`
	// BodyTimeout is how long the body of a request may take after its head, before the request is
	// counted in MaxInFlight.
	BodyTimeout Duration `json:"bodyTimeout"`
	// RequestTimeout bounds a request from its first byte to its answer.
	RequestTimeout Duration `json:"requestTimeout"`
	// MaxConnectionAge is how old a connection to the listener of the RPCs for apps gets before its caller is
	// told to make another one, by which pods that came later get their share; a tenth more or less. 0: as
	// old as it likes.
	//
	// By default 30 seconds: with ConnectionGrace even a stream has moved within a minute, and a pod with as
	// many connections as fit 512 MiB makes fewer than 300 new ones a second.
	MaxConnectionAge Duration `json:"maxConnectionAge"`
	// ConnectionGrace is how long what is under way then may take, before it is cut off; at least
	// RequestTimeout.
	ConnectionGrace Duration `json:"connectionGrace"`
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
	// CAFile holds the certificates of who may have signed the server's; empty: the system's.
	CAFile string `json:"caFile,omitempty"`
	// CertificateFile and KeyFile are what the server is shown if it asks who connects. They may be
	// renewed at any time.
	CertificateFile string `json:"certificateFile,omitempty"`
	KeyFile         string `json:"keyFile,omitempty"`
	// MaxConnections a pod opens.
	MaxConnections int32 `json:"maxConnections"`
}

// Messaging is the NATS system of promotions and order events.
type Messaging struct {
	// URL, or several joined by commas.
	URL string `json:"url"`
	// CredentialsFile is a NATS .creds file, or the seed of a user's nkey; empty: none.
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// CAFile holds the certificates of who may have signed the servers'; empty: the system's.
	CAFile string `json:"caFile,omitempty"`
	// CertificateFile and KeyFile are what a server is shown if it asks who connects. They may be
	// renewed at any time.
	CertificateFile string `json:"certificateFile,omitempty"`
	KeyFile         string `json:"keyFile,omitempty"`
	// Replicas of every stream and bucket: 1, 3 or 5.
	Replicas int `json:"replicas"`
}

// Orders has the rules of the order life cycle, for the standard role, and the key of all roles.
type Orders struct {
	// PaymentTimeout of an order of the standard lane.
	PaymentTimeout Duration `json:"paymentTimeout"`
	// IDKeyFile holds the key, 16 bytes or more, that buyers are hashed with in order ids. What pods
	// sign for each other and for buyers, they sign with keys derived from it.
	IDKeyFile string `json:"idKeyFile"`
	// PlaceBatch is how many orders that are placed at once share a transaction, at most.
	PlaceBatch int `json:"placeBatch"`
	// QuoteTTL is how long a quote's token can be placed.
	QuoteTTL Duration `json:"quoteTTL"`
	// CompleteAfter is how long after its delivery an order is completed by itself.
	CompleteAfter Duration `json:"completeAfter"`
	// ReturnWindow is how long after its delivery goods of an order can be returned.
	ReturnWindow Duration `json:"returnWindow"`
	// Limits of what buyers order and do not pay.
	Limits Limits `json:"limits"`
}

// Limits are what one buyer may have ordered in the standard lane without having paid for it;
// more is refused with RESOURCE_EXHAUSTED/TOO_MANY_UNPAID. Flash orders do not count: their
// promotion's limitPerBuyer bounds them. 0 is no limit.
//
// By default 20 orders and 200 units: what a household or a small office has open at once, and
// so little that hoarding a SKU of thousands of units takes dozens of accounts. A guest, whom a new
// token costs nothing, has a tenth of the units: 5 orders and 20 units.
type Limits struct {
	// UnpaidOrders is how many orders wait for the buyer's payment at once.
	UnpaidOrders int64 `json:"unpaidOrders"`
	// ReservedUnits is how many units of all SKUs are in these orders.
	ReservedUnits int64 `json:"reservedUnits"`
	// GuestUnpaidOrders and GuestReservedUnits are the same for a guest.
	GuestUnpaidOrders  int64 `json:"guestUnpaidOrders"`
	GuestReservedUnits int64 `json:"guestReservedUnits"`
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
	// MaterializePerSecond is how many flash orders all worker pods together write to the database a second, at
	// most. Those that live share it equally.
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
	// SecretDir holds the files of the provider's keys and certificates; all but sandbox.
	SecretDir string `json:"secretDir,omitempty"`
	// Settings that are no secrets, such as merchant, app id and the API's base URL.
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
	// MaxInFlight is how many requests of one buyer or member of staff a pod works on at once. More
	// are refused with RESOURCE_EXHAUSTED/RATE_LIMITED. Services have no such limit.
	MaxInFlight int `json:"maxInFlight"`
}

// Default has every setting that has a sensible value of its own.
func Default() Config {
	return Config{
		HTTP: HTTP{
			Address: ":8080", AdminAddress: ":8081", PeerAddress: ":8082",
			MaxBodyBytes: 64 << 10, MaxInFlight: 4096,
			BodyTimeout: Duration(2 * time.Second), RequestTimeout: Duration(10 * time.Second),
			MaxConnectionAge: Duration(30 * time.Second), ConnectionGrace: Duration(20 * time.Second),
			DrainDelay: Duration(3 * time.Second), DrainTimeout: Duration(20 * time.Second),
		},
		Database:  Database{MaxConnections: 16},
		Messaging: Messaging{Replicas: 1},
		Orders: Orders{
			PaymentTimeout: Duration(30 * time.Minute), PlaceBatch: 128, QuoteTTL: Duration(15 * time.Minute),
			CompleteAfter: Duration(10 * 24 * time.Hour), ReturnWindow: Duration(15 * 24 * time.Hour),
			Limits: Limits{UnpaidOrders: 20, ReservedUnits: 200, GuestUnpaidOrders: 5, GuestReservedUnits: 20},
		},
		Auth:   Auth{RequestsPerSecond: 50, Burst: 100, MaxInFlight: 64},
		Worker: Worker{MaterializePerSecond: 2000, MaterializeConcurrency: 4},
	}
}

// Load reads a file over the defaults. What it does not know it leaves out, see [Unknown]: the file may
// be written for the version after or before this one.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading config: %w", err)
	}
	c := Default()
	if err := yaml.Unmarshal(raw, &c); err != nil {
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
	// A worker's connections may get as old as they like.
	f.Need(role == RoleWorker || c.HTTP.MaxConnectionAge == 0 || c.HTTP.ConnectionGrace >= c.HTTP.RequestTimeout,
		"http.connectionGrace", "must not be less than requestTimeout: requests would be cut off")
	c.Messaging.validate(&f)
	if role != RoleFlash {
		c.Database.validate(&f)
	}
	f.Need(c.Orders.IDKeyFile != "", "orders.idKeyFile", "must be set")
	if role != RoleWorker {
		f.Need(c.Flash.MaxClockSkew >= 0, "flash.maxClockSkew", "must not be negative")
		c.Auth.validate(&f)
	}
	if role == RoleStandard {
		f.Need(c.Orders.PaymentTimeout > 0, "orders.paymentTimeout", "must be positive")
		f.Need(c.Orders.PlaceBatch > 0, "orders.placeBatch", "must be positive")
		f.Need(c.Orders.QuoteTTL > 0, "orders.quoteTTL", "must be positive")
		f.Need(c.Orders.ReturnWindow > 0, "orders.returnWindow", "must be positive")
		c.Orders.Limits.validate(&f)
	}
	if role == RoleWorker {
		f.Need(c.Flash.PeerURL != "", "flash.peerURL", "must be set")
		f.Need(c.Orders.CompleteAfter > 0, "orders.completeAfter", "must be positive")
		f.Need(c.Worker.MaterializePerSecond > 0, "worker.materializePerSecond", "must be positive")
		f.Need(c.Worker.MaterializeConcurrency > 0, "worker.materializeConcurrency", "must be positive")
	}
	if role != RoleFlash {
		for i, p := range c.Payments {
			p.validate(&f, fmt.Sprintf("payments[%d]", i))
		}
		validateCarriers(&f, c.Carriers)
		f.Need(c.Push.URL == "" || c.Push.SecretFile != "", "push.secretFile", "must be set")
	}
	return f.Err()
}

// notAlone is what is wrong with a certificate without its key.
const notAlone = "must be set with certificateFile, and with it alone"

func (h HTTP) validate(f *FieldErrors) {
	f.Need(h.MaxBodyBytes > 0, "http.maxBodyBytes", "must be positive")
	f.Need(h.MaxInFlight > 0, "http.maxInFlight", "must be positive")
	f.Need((h.CertificateFile == "") == (h.KeyFile == ""), "http.keyFile", notAlone)
	f.Need(h.MaxConnections >= 0, "http.maxConnections", "must not be negative")
	f.Need(h.MaxBodies >= 0, "http.maxBodies", "must not be negative")
	f.Need(h.BodyTimeout > 0, "http.bodyTimeout", "must be positive")
	f.Need(h.RequestTimeout > 0, "http.requestTimeout", "must be positive")
	f.Need(h.MaxConnectionAge >= 0, "http.maxConnectionAge", "must not be negative")
	f.Need(h.DrainTimeout > 0, "http.drainTimeout", "must be positive")
	for i, origin := range h.AllowedOrigins {
		f.Need(IsOrigin(origin), fmt.Sprintf("http.allowedOrigins[%d]", i),
			"must be scheme://host or scheme://host:port, as a browser writes it: no path, and no port that is the scheme's own")
	}
}

func (l Limits) validate(f *FieldErrors) {
	const path, why = "orders.limits.", "must not be negative"
	f.Need(l.UnpaidOrders >= 0, path+"unpaidOrders", why)
	f.Need(l.ReservedUnits >= 0, path+"reservedUnits", why)
	f.Need(l.GuestUnpaidOrders >= 0, path+"guestUnpaidOrders", why)
	f.Need(l.GuestReservedUnits >= 0, path+"guestReservedUnits", why)
}

func (d Database) validate(f *FieldErrors) {
	f.Need(d.URLFile != "", "database.urlFile", "must be set")
	f.Need((d.CertificateFile == "") == (d.KeyFile == ""), "database.keyFile", notAlone)
	f.Need(d.MaxConnections > 0, "database.maxConnections", "must be positive")
}

func (m Messaging) validate(f *FieldErrors) {
	f.Need(m.URL != "", "messaging.url", "must be set")
	f.Need((m.CertificateFile == "") == (m.KeyFile == ""), "messaging.keyFile", notAlone)
	f.Need(slices.Contains([]int{1, 3, 5}, m.Replicas), "messaging.replicas", "must be 1, 3 or 5")
}

func (a Auth) validate(f *FieldErrors) {
	f.Need(a.Issuer != "", "auth.issuer", "must be set")
	f.Need(a.Audience != "", "auth.audience", "must be set")
	f.Need(a.JWKSURL != "", "auth.jwksURL", "must be set")
	f.Need(a.RequestsPerSecond > 0, "auth.requestsPerSecond", "must be positive")
	f.Need(a.Burst > 0, "auth.burst", "must be positive")
	f.Need(a.MaxInFlight > 0, "auth.maxInFlight", "must be positive")
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
