package testport_test

import (
	"net"
	"testing"

	"github.com/orderd-dev/orderd/test/kit/testport"
)

func TestAPortIsKeptFromOthersAndNotFromItsServer(t *testing.T) {
	kept := map[string]bool{}
	for range 500 {
		address, err := testport.Address()
		if err != nil {
			t.Fatal(err)
		}
		if kept[address] {
			t.Fatalf("%s twice", address)
		}
		kept[address] = true
	}
	var config net.ListenConfig
	for range 5000 {
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if kept[l.Addr().String()] {
			t.Errorf("%s was given away", l.Addr())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for address := range kept {
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			_ = conn.Close()
			t.Errorf("%s was not refused", address)
		}
		// A second time as well, with the first one's connections not yet forgotten.
		for range 2 {
			serveOnce(t, address)
		}
	}
}

func serveOnce(t *testing.T, address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
}
