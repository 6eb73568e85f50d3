// Tests of HTTPS with an injected certificate source, and of what the tailnet reports about certificates and Funnel.

package core

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"math/big"

	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
	"tailscale.com/ipn"
)

func makeCertificate(t *testing.T, name string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, leaf
}

type fixedCertificate struct {
	certificate tls.Certificate
	asked       atomic.Pointer[string]
}

// GetCertificate returns the one certificate and records the requested name.
func (f *fixedCertificate) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.asked.Store(&hello.ServerName)
	return &f.certificate, nil
}

func TestHTTPSWithAnInjectedCertificate(t *testing.T) {
	tailnet := startTailnet(t)
	name := "cairn." + tailnettest.Domain
	certificate, roots := selfSigned(t, name)
	source := &fixedCertificate{certificate: certificate}
	r := startRig(t, tailnet, rigOptions{options: Options{Certificates: source}})
	r.must("listen", ListenParams{Port: 443, TLS: true}, nil)
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	get(t, client, "http://cairn/") // the two nodes know each other now

	for _, protocol := range []string{"HTTP/2.0", "HTTP/1.1"} {
		transport := &http.Transport{
			DialContext:       client.Dial,
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: protocol == "HTTP/2.0",
		}
		https := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		response, err := https.Get("https://" + name + "/secure?x=1")
		if err != nil {
			t.Fatal(err)
		}
		var got answer
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		json.Unmarshal(body, &got)
		if response.StatusCode != 200 || response.Proto != protocol || got.Path != "/secure?x=1" || got.Host != name ||
			got.Headers[headerScheme][0] != "https" ||
			!got.caller(t).Own {
			t.Errorf("%s: got %d %s %s", protocol, response.StatusCode, response.Proto, body)
		}
		if names := source.asked.Load(); names == nil || *names != name {
			t.Errorf("the source was called with %v", names)
		}
		request, _ := http.NewRequest(http.MethodGet, "https://"+name+"/", nil)
		request.Host = "evil.example.com"
		response, err = https.Do(request)
		if err != nil || response.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: other host: %v %v", protocol, response, err)
		}
		request, _ = http.NewRequest(http.MethodPost, "https://"+name+"/", nil)
		request.Header.Set("Origin", "http://"+name)
		if response, err = https.Do(request); err != nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: origin of the plain scheme: %v %v", protocol, response, err)
		}
		if protocol == "HTTP/2.0" {
			testRevokedStreamOverH2(t, tailnet, r, client, https, name)
		}
		transport.CloseIdleConnections()
	}
}

// testRevokedStreamOverH2 opens a stream over h2 and removes the caller's tag.
func testRevokedStreamOverH2(t *testing.T, tailnet *tailnettest.Tailnet, r *rig, client *tailnettest.Client,
	https *http.Client, name string) {
	t.Helper()
	echo := r.target.handler.Load()
	defer r.target.handler.Store(echo)
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		writer.WriteHeader(200)
		writer.(http.Flusher).Flush()
		<-request.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name+"/stream", nil)
	response, err := (&http.Client{Transport: https.Transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	tags := []string{"tag:other"}
	if err := tailnet.Update(client.Hostname, tailnettest.Change{Tags: &tags}); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if _, err := io.ReadAll(response.Body); err == nil || time.Since(started) > 2*time.Second {
		t.Errorf("the h2 stream ended after %v with %v", time.Since(started), err)
	}
	none := []string{}
	if err := tailnet.Update(client.Hostname, tailnettest.Change{Tags: &none}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the caller is untagged again", 5*time.Second, func() bool {
		var whois WhoIsResult
		return r.call("whois", WhoIsParams{Addr: client.IPs[0].String()}, &whois) == nil && whois.Caller.Kind == "user"
	})
}

func TestCertificatesAndFunnelAreReported(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	var cert CertResult
	var serve ServeConfigResult
	r.must("cert", empty{}, &cert)
	r.must("serve-config", empty{}, &serve)
	if cert.HTTPS || len(cert.Domains) != 0 || serve.Funnel || serve.FunnelReason == "" {
		t.Errorf("without HTTPS: %+v %+v", cert, serve)
	}
	tailnet.SetHTTPS(true, false)
	r.await("certificates", func() bool { return r.state.HTTPS && !r.state.Funnel })
	r.must("cert", empty{}, &cert)
	if !cert.HTTPS || len(cert.Domains) != 1 || cert.Domains[0] != "cairn."+tailnettest.Domain {
		t.Errorf("with HTTPS: %+v", cert)
	}
	tailnet.SetHTTPS(true, true)
	r.await("funnel", func() bool { return r.state.Funnel })
	node := r.node()
	config := &ipn.ServeConfig{TCP: map[uint16]*ipn.TCPPortHandler{8443: {TCPForward: "127.0.0.1:1"}}}
	if err := node.lc.SetServeConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	serve = ServeConfigResult{}
	r.must("serve-config", empty{}, &serve)
	text, _ := json.Marshal(serve.Config)
	if !serve.Funnel || serve.FunnelReason != "" || !json.Valid(text) || len(text) < 20 {
		t.Errorf("with Funnel: %+v %s", serve, text)
	}
	if status, err := node.lc.GetServeConfig(t.Context()); err != nil || len(status.AllowFunnel) != 0 {
		t.Errorf("Funnel was enabled: %+v %v", status, err)
	}
}
