// The DERP relay (TLS with a certificate made at start) and the STUN server, both on 127.0.0.1. gate.go cuts the relay
// off, links.go handles packets between two nodes.

package tailnettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stun"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

const relayRegion = 1

type relayServer struct {
	derp  *derpserver.Server
	http  *http.Server
	tls   *tls.Config
	links *links
}

func newRelayServer(logf logger.Logf) (*relayServer, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("no certificate for the DERP relay: %w", err)
	}
	derp, links := derpserver.New(key.NewNode(), logf), &links{}
	return &relayServer{
		derp: derp, links: links,
		tls: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}},
		http: &http.Server{
			Handler:           links.linked(derpserver.Handler(derp)),
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          logger.StdLogger(logf),
			// DERP takes over the connection, which HTTP/2 does not allow.
			TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		},
	}, nil
}

func (r *relayServer) close() error { return r.derp.Close() }

func selfSigned() (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "127.0.0.1"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(7 * 24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

func (t *Tailnet) derpMap() *tailcfg.DERPMap {
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{relayRegion: {
		RegionID: relayRegion, RegionCode: "test", RegionName: "Loopback",
		Nodes: []*tailcfg.DERPNode{{
			Name: "1a", RegionID: relayRegion, HostName: "127.0.0.1", IPv4: "127.0.0.1", IPv6: "none",
			STUNPort: t.stun.port(), STUNTestIP: "127.0.0.1",
			DERPPort: t.relay.port(), InsecureForTests: true,
		}},
	}}}
}

type stunServer struct{ conn *net.UDPConn }

func startSTUN() (*stunServer, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("STUN cannot listen on 127.0.0.1: %w", err)
	}
	s := &stunServer{conn: conn}
	go s.answer()
	return s, nil
}

func (s *stunServer) answer() {
	var packet [1500]byte
	for {
		size, from, err := s.conn.ReadFromUDPAddrPort(packet[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an earlier reply was refused by a node that has ended
		}
		if transaction, err := stun.ParseBindingRequest(packet[:size]); err == nil {
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			s.conn.WriteToUDPAddrPort(stun.Response(transaction, from), from)
		}
	}
}

func (s *stunServer) port() int { return s.conn.LocalAddr().(*net.UDPAddr).Port }

func (s *stunServer) close() { s.conn.Close() }

func mustAddrPort(address string) netip.AddrPort { return netip.MustParseAddrPort(address) }
