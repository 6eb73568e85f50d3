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

	"cairn.internal/native/eventgrpc"
)

const (
	headerNetwork = "Cairn-Internal-Network"
	// headerProtocol is "grpc" for an event to another server's IngestEvent, with the JSON form of its message as body.
	headerProtocol = "Cairn-Internal-Protocol"
	// headerRefusal marks a response that this process made, not the remote side.
	headerRefusal = "Cairn-Internal-Refusal"
	// headerCertificateEnds says of a response over TLS when the certificate of the other side ends, as RFC 3339.
	headerCertificateEnds = "Cairn-Internal-Certificate-Ends"

	outboundTimeout   = 10 * time.Minute
	ingestTimeout     = time.Minute
	outboundFirstByte = 2 * time.Minute
	// maxOutboundBytes bounds a body in either direction; larger content is sent in parts.
	maxOutboundBytes = 64 << 20
	maxOutboundConns = 8
)

var errOutboundTooLarge = fmt.Errorf("the response has more than %d bytes", maxOutboundBytes)

type outbound struct {
	http  *ways
	grpc  *ways
	proxy *httputil.ReverseProxy
}

// ways are the transports of one protocol.
type ways struct {
	guard   *outboundGuard
	proxy   *outboundProxy // nil without outbound.proxy
	roots   *x509.CertPool
	direct  map[string]*http.Transport // by scheme
	proxied *http.Transport            // nil without outbound.proxy
}

// newWays returns transports that speak only HTTP/1.1, or only HTTP/2, also without TLS.
func newWays(guard *outboundGuard, proxy *outboundProxy, roots *x509.CertPool, onlyH2 bool) *ways {
	w := &ways{guard: guard, proxy: proxy, roots: roots, direct: map[string]*http.Transport{}}
	for _, scheme := range []string{"http", "https"} {
		w.direct[scheme] = newOutboundTransport(guard, roots, scheme == "http", onlyH2)
	}
	if proxy != nil {
		w.proxied = proxy.throughProxy(newOutboundTransport(guard, roots, false, onlyH2))
	}
	return w
}

// newOutbound returns the way to the host's network; without a proxy all of it is direct.
func newOutbound(node *Node, guard *outboundGuard, proxy *outboundProxy, roots *x509.CertPool) *outbound {
	o := &outbound{http: newWays(guard, proxy, roots, false), grpc: newWays(guard, proxy, roots, true)}
	o.proxy = &httputil.ReverseProxy{
		Rewrite:   rewriteOutgoing,
		Transport: o.http, BufferPool: &bufferPool{},
		ErrorLog: log.New(logWriter{node}, "", 0),
		ModifyResponse: func(response *http.Response) error {
			stripForgeable(response.Header)
			sayCertificate(response)
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

// sayCertificate adds when the certificate of the other side ends; a probe may count its days.
func sayCertificate(response *http.Response) {
	if response.TLS == nil || len(response.TLS.PeerCertificates) == 0 {
		return
	}
	ends := response.TLS.PeerCertificates[0].NotAfter.UTC().Format(time.RFC3339)
	response.Header.Set(headerCertificateEnds, ends)
}

// newOutboundTransport returns a transport that dials by the guard; plain is for http.
func newOutboundTransport(guard *outboundGuard, roots *x509.CertPool, plain, onlyH2 bool) *http.Transport {
	spoken := &http.Protocols{}
	spoken.SetHTTP1(true)
	if onlyH2 {
		spoken = onlyHTTP2()
	}
	return &http.Transport{
		Protocols: spoken,
		Proxy:     nil,
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

func onlyHTTP2() *http.Protocols {
	spoken := &http.Protocols{}
	spoken.SetHTTP2(true)
	spoken.SetUnencryptedHTTP2(true)
	return spoken
}

// RoundTrip uses the transport of the destination: the one for plain http dials only listed ones.
func (w *ways) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := w.transportFor(request.URL)
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
	case request.Header.Get("Upgrade") != "":
		refuse(http.StatusBadRequest, "bad_request", "Only plain requests and CONNECT may use the host's network.")
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
	switch protocol := request.Header.Get(headerProtocol); protocol {
	case "":
		o.proxy.ServeHTTP(writer, request)
	case "grpc":
		ingest(writer, request, o.grpc, func(err error) { writeOutboundProblem(writer, request, err) })
	default:
		refuse(http.StatusBadRequest, "bad_request", fmt.Sprintf("%s must be grpc, not %.40q.", headerProtocol, protocol))
	}
}

// ingest sends the body as an event to a server of gRPC, which only this process speaks.
// failed answers where the server did not.
func ingest(writer http.ResponseWriter, request *http.Request, way http.RoundTripper, failed func(error)) {
	if request.Method != http.MethodPost || request.URL.Path != eventgrpc.IngestPath {
		refuseEgress(writer, http.StatusBadRequest, "bad_request", "Only "+eventgrpc.IngestPath+" can be called.", "")
		return
	}
	event, err := io.ReadAll(request.Body)
	if err != nil {
		refuseEgress(writer, http.StatusBadRequest, "bad_request", "The body ended early.", "")
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), ingestTimeout)
	defer cancel()
	base := request.Header.Get(headerScheme) + "://" + request.Host
	metadata := request.Header.Clone()
	stripForgeable(metadata)
	answer, err := eventgrpc.Ingest(ctx, way, base, metadata, event)
	if err != nil {
		failed(err)
		return
	}
	if answer.RetryAfter != "" {
		writer.Header().Set("Retry-After", answer.RetryAfter)
	}
	writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	writer.WriteHeader(answer.Status)
	_, _ = io.WriteString(writer, answer.Text)
}

func (o *outbound) close() {
	o.http.close()
	o.grpc.close()
}

func (w *ways) close() {
	for _, transport := range w.direct {
		transport.CloseIdleConnections()
	}
	if w.proxied != nil {
		w.proxied.CloseIdleConnections()
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
