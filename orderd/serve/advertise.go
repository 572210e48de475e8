package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	advertiseFlag     = "--advertise"
	advertiseHostFlag = "--advertise-host"
)

// advertised is the host:port at which other pods reach this one: address, or host at the port of peers, which is
// http.peerAddress. Its error names the flag that has to change.
func advertised(address, host, peers string) (string, error) {
	switch {
	case address == "" && host == "":
		return "", fmt.Errorf("%s or %s: must be set for role flash", advertiseFlag, advertiseHostFlag)
	case address != "" && host != "":
		return "", fmt.Errorf("%s: must not be set with %s", advertiseHostFlag, advertiseFlag)
	case host == "":
		if err := checkAddress(address); err != nil {
			return "", fmt.Errorf("%s: %q: %w", advertiseFlag, address, err)
		}
		return address, nil
	}
	_, port, err := net.SplitHostPort(peers)
	if err != nil {
		return "", fmt.Errorf("http.peerAddress: %w", err)
	}
	if err := checkHost(host); err != nil {
		return "", fmt.Errorf("%s: %q: %w", advertiseHostFlag, host, err)
	}
	address = net.JoinHostPort(host, port)
	if err := checkPort(port); err != nil {
		return "", fmt.Errorf("http.peerAddress: %q: %w", peers, err)
	}
	return address, nil
}

// checkAddress says why others cannot connect to a host:port; nil if they may.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("must be host:port, with an IPv6 address in brackets, as in [fd00::1]:8082")
	}
	if err := checkHost(host); err != nil {
		return err
	}
	return checkPort(port)
}

func checkHost(host string) error {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return errors.New("must have a host: others connect to it")
	case err == nil && ip.IsUnspecified():
		return errors.New("must be the address of one host, and this is that of all")
	case err == nil && ip.Zone() != "":
		return errors.New("must not have a zone: it means something on this host alone")
	case err != nil && strings.ContainsAny(host, ":/?#@[]% "):
		return errors.New("must be a host's name or an IP address, without a port and without brackets")
	}
	return nil
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("must have a port from 1 to 65535")
	}
	return nil
}
