package serve

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func TestWhereAPodIsReached(t *testing.T) {
	for _, tt := range []struct {
		address, host, peers string
		// want is the address, or what the error has.
		want string
		ok   bool
	}{
		{"10.0.0.1:8082", "", ":8082", "10.0.0.1:8082", true},
		{"[fd00::1]:8082", "", ":8082", "[fd00::1]:8082", true},
		{"pod-0.flash.shop.svc:8082", "", ":8082", "pod-0.flash.shop.svc:8082", true},
		{"", "fd00::1", ":8082", "[fd00::1]:8082", true},
		{"", "::ffff:10.0.0.1", ":8082", "[::ffff:10.0.0.1]:8082", true},
		{"", "10.0.0.1", "0.0.0.0:9", "10.0.0.1:9", true},
		{"", "10.0.0.1", "[::]:9", "10.0.0.1:9", true},
		{"", "", ":8082", "--advertise or --advertise-host: must be set", false},
		{"10.0.0.1:1", "10.0.0.1", ":8082", "--advertise-host: must not be set with --advertise", false},
		{"fd00::1:8082", "", ":8082",
			`--advertise: "fd00::1:8082": must be host:port, with an IPv6 address in brackets`, false},
		{"fd00::1", "", ":8082", "in brackets, as in [fd00::1]:8082", false},
		{"10.0.0.1", "", ":8082", "must be host:port", false},
		{":8082", "", ":8082", "must have a host", false},
		{"0.0.0.0:8082", "", ":8082", "that of all", false},
		{"[::]:8082", "", ":8082", "that of all", false},
		{"[fe80::1%eth0]:8082", "", ":8082", "must not have a zone", false},
		{"10.0.0.1:", "", ":8082", "a port from 1 to 65535", false},
		{"10.0.0.1:http", "", ":8082", "a port from 1 to 65535", false},
		{"10.0.0.1:65536", "", ":8082", "a port from 1 to 65535", false},
		{"http://10.0.0.1:8082", "", ":8082", "must be host:port", false},
		{"a/b:8082", "", ":8082", "must be a host's name or an IP address", false},
		{"", "[fd00::1]", ":8082", "without brackets", false},
		{"", "10.0.0.1:8082", ":8082", "without a port", false},
		{"", "10.0.0.1", ":0", `http.peerAddress: ":0"`, false},
		{"", "10.0.0.1", "8082", "http.peerAddress", false},
	} {
		got, err := advertised(tt.address, tt.host, tt.peers)
		if (err == nil) != tt.ok {
			t.Errorf("%q, %q at %q: %q, %v", tt.address, tt.host, tt.peers, got, err)
			continue
		}
		if tt.ok && got != tt.want {
			t.Errorf("%q, %q at %q: %q, want %q", tt.address, tt.host, tt.peers, got, tt.want)
		}
		if !tt.ok && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %q at %q: error %q, want %q in it", tt.address, tt.host, tt.peers, err, tt.want)
		}
	}
}

func TestAListenerAnswersOnBothFamiliesOfAddresses(t *testing.T) {
	l, err := listen(t.Context(), "apps", ":0", http.HandlerFunc(tellConnection), config.Default().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	t.Cleanup(func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(l.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if loopback, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0")); err != nil {
			t.Skipf("this machine has no %s: %v", host, err)
		} else {
			_ = loopback.Close()
		}
		url := "http://" + net.JoinHostPort(host, port)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Errorf("at %s: %v", host, err)
			continue
		}
		_ = response.Body.Close()
	}
}
