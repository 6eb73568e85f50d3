// Requests on egress.sock that carry `Cairn-Internal-Network: host` use the host's network; nothing else does.
// outboundguard.go decides which addresses they may reach, outboundproxy.go which of them by a proxy of the settings.
// This file bounds time and size, follows no redirects, ignores proxies of the environment, and verifies TLS by the
// system's roots.

package core

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

const (
	headerNetwork = "Cairn-Internal-Network"
	// headerRefusal marks a response that this process made, not the remote side.
	headerRefusal = "Cairn-Internal-Refusal"

	outboundTimeout   = 10 * time.Minute
	outboundFirstByte = 2 * time.Minute
	// maxOutboundBytes bounds a body in either direction; larger content is sent in parts.
	maxOutboundBytes = 64 << 20
	maxOutboundConns = 8
)

var errOutboundTooLarge = fmt.Errorf("the response has more than %d bytes", maxOutboundBytes)

type outbound struct {
	guard      *outboundGuard
	transports map[string]*http.Transport // by scheme
	proxied    *http.Transport            // nil without outbound.proxy
	proxy      *httputil.ReverseProxy
}

// newOutbound returns the way to the host's network; without a proxy all of it is direct.
func newOutbound(node *Node, guard *outboundGuard, proxy *outboundProxy, roots *x509.CertPool) *outbound {
	o := &outbound{guard: guard, transports: map[string]*http.Transport{}}
	for _, scheme := range []string{"http", "https"} {
		o.transports[scheme] = newOutboundTransport(guard, roots, scheme == "http")
	}
	if proxy != nil {
		o.proxied = proxy.throughProxy(newOutboundTransport(guard, roots, false))
	}
	o.proxy = &httputil.ReverseProxy{
		Rewrite:   rewriteOutgoing,
		Transport: o, BufferPool: &bufferPool{},
		ErrorLog: log.New(logWriter{node}, "", 0),
		ModifyResponse: func(response *http.Response) error {
			stripForgeable(response.Header)
			if response.StatusCode == http.StatusSwitchingProtocols {
				return errors.New("the response switches protocols")
			}
			if response.ContentLength > maxOutboundBytes && response.Request.Method != http.MethodHead {
				return errOutboundTooLarge
			}
			response.Body = &limitedBody{ReadCloser: response.Body, left: maxOutboundBytes}
			return nil
		},
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			writeOutboundProblem(writer, request, err)
		},
	}
	return o
}

// newOutboundTransport returns a transport that dials by the guard; plain is for http.
func newOutboundTransport(guard *outboundGuard, roots *x509.CertPool, plain bool) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			return guard.dial(ctx, target, plain)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableCompression:     true,
		MaxConnsPerHost:        maxOutboundConns,
		MaxIdleConns:           maxOutboundConns,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  outboundFirstByte,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// RoundTrip uses the transport of the destination: the one for plain http dials only listed ones.
func (o *outbound) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := o.transportFor(request.URL)
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(request)
}

// serve handles one request whose secret and scheme were checked.
func (o *outbound) serve(writer http.ResponseWriter, request *http.Request) {
	refuse := func(status int, code, detail string) {
		refuseEgress(writer, status, code, detail, "")
	}
	switch {
	case request.Method == http.MethodConnect || request.Header.Get("Upgrade") != "":
		refuse(http.StatusBadRequest, "bad_request", "Only plain requests may use the host's network.")
		return
	case request.ContentLength > maxOutboundBytes:
		refuse(http.StatusRequestEntityTooLarge, "body_too_large",
			fmt.Sprintf("The body has %d bytes; at most %d are allowed.", request.ContentLength, maxOutboundBytes))
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), outboundTimeout)
	defer cancel()
	request = request.WithContext(ctx)
	request.Body = http.MaxBytesReader(writer, request.Body, maxOutboundBytes)
	o.proxy.ServeHTTP(writer, request)
}

func (o *outbound) close() {
	for _, transport := range o.transports {
		transport.CloseIdleConnections()
	}
	if o.proxied != nil {
		o.proxied.CloseIdleConnections()
	}
}

func writeOutboundProblem(writer http.ResponseWriter, request *http.Request, err error) {
	if errors.Is(request.Context().Err(), context.Canceled) {
		return // the client disconnected
	}
	status, code, hint := http.StatusBadGateway, "dial_failed", "Check the address, and this machine's network and clock."
	var refused *outboundRefused
	var unconnected *proxyRefused
	var opError *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		status, code = http.StatusForbidden, "outbound_refused"
		hint = "If this destination is intended, list it in the setting outbound.allow, with its port."
	case errors.As(err, &unconnected):
		hint = unconnected.hint()
		if code = "exchange_failed"; unconnected.status < http.StatusInternalServerError {
			code = "proxy_refused"
		}
	case errors.As(err, &certificate):
		code, hint = "tls_failed", "The certificate must be one that this machine's system trusts."
	case errors.As(err, &opError) && opError.Op == "proxyconnect":
		hint = "Check outbound.proxy, and that the proxy runs."
	case errors.As(err, &opError) && opError.Op == "dial":
	default:
		code = "exchange_failed"
	}
	writer.Header().Set(headerRefusal, code)
	writeProblem(writer, status, code, strings.TrimSpace(err.Error()), hint)
}

// limitedBody fails once more than left bytes were read, so that the remote side cannot fill this machine's disk.
type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read returns errOutboundTooLarge beyond the limit.
func (b *limitedBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	if b.left -= int64(count); b.left < 0 {
		return 0, errOutboundTooLarge
	}
	return count, err
}
