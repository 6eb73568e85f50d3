// The one way to the host's network: requests on egress.sock that carry `Cairn-Internal-Network:
// host`. Whom they may reach is outboundguard.go's; here are the bounds of time and size, no
// redirects, no proxy of the environment, and TLS that is verified by the system's roots.

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
	"net/url"
	"strings"
	"time"
)

const (
	headerNetwork = "Cairn-Internal-Network"
	// headerRefusal marks an answer that is this half's own, not the far side's.
	headerRefusal = "Cairn-Internal-Refusal"

	outboundTimeout   = 10 * time.Minute
	outboundFirstByte = 2 * time.Minute
	// maxOutboundBytes bounds a body, either way; larger things travel in parts.
	maxOutboundBytes = 64 << 20
	maxOutboundConns = 8
)

var errOutboundTooLarge = fmt.Errorf("the answer has more than %d bytes", maxOutboundBytes)

type outbound struct {
	guard      *outboundGuard
	transports map[string]*http.Transport // by scheme
	proxy      *httputil.ReverseProxy
}

func newOutbound(node *Node, guard *outboundGuard, roots *x509.CertPool) *outbound {
	way := &outbound{guard: guard, transports: map[string]*http.Transport{}}
	for _, scheme := range []string{"http", "https"} {
		plain := scheme == "http"
		way.transports[scheme] = &http.Transport{
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
	way.proxy = &httputil.ReverseProxy{
		Rewrite: func(hop *httputil.ProxyRequest) {
			hop.Out.URL = &url.URL{Scheme: hop.In.Header.Get(headerScheme), Host: hop.In.Host, Path: hop.In.URL.Path, RawPath: hop.In.URL.RawPath, RawQuery: hop.In.URL.RawQuery}
			hop.Out.Host = hop.In.Host
			stripForgeable(hop.Out.Header)
		},
		Transport: way, BufferPool: &bufferPool{},
		ErrorLog: log.New(logWriter{node}, "", 0),
		ModifyResponse: func(response *http.Response) error {
			stripForgeable(response.Header)
			if response.StatusCode == http.StatusSwitchingProtocols {
				return errors.New("the answer switches protocols")
			}
			if response.ContentLength > maxOutboundBytes && response.Request.Method != http.MethodHead {
				return errOutboundTooLarge
			}
			response.Body = &answerBody{ReadCloser: response.Body, left: maxOutboundBytes}
			return nil
		},
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			writeOutboundProblem(writer, request, err)
		},
	}
	return way
}

// RoundTrip sends by the transport of the scheme: that of plain http dials only what is listed.
func (way *outbound) RoundTrip(request *http.Request) (*http.Response, error) {
	return way.transports[request.URL.Scheme].RoundTrip(request)
}

// serve answers one request whose secret and scheme were checked.
func (way *outbound) serve(writer http.ResponseWriter, request *http.Request) {
	refuse := func(status int, code, detail string) {
		writer.Header().Set(headerRefusal, code)
		writeProblem(writer, status, code, detail, "")
	}
	switch {
	case request.Method == http.MethodConnect || request.Header.Get("Upgrade") != "":
		refuse(http.StatusBadRequest, "bad_request", "Only plain requests leave by the host's network.")
		return
	case request.ContentLength > maxOutboundBytes:
		refuse(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body has %d bytes; at most %d leave at once.", request.ContentLength, maxOutboundBytes))
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), outboundTimeout)
	defer cancel()
	request = request.WithContext(ctx)
	request.Body = http.MaxBytesReader(writer, request.Body, maxOutboundBytes)
	way.proxy.ServeHTTP(writer, request)
}

func (way *outbound) close() {
	for _, transport := range way.transports {
		transport.CloseIdleConnections()
	}
}

func writeOutboundProblem(writer http.ResponseWriter, request *http.Request, err error) {
	if errors.Is(request.Context().Err(), context.Canceled) {
		return // nobody waits any more
	}
	status, code, hint := http.StatusBadGateway, "dial_failed", "Check the address, and this machine's network and clock."
	var refused *outboundRefused
	var opError *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		status, code, hint = http.StatusForbidden, "outbound_refused", "If this place is meant, list it in the setting outbound.allow, with its port."
	case errors.As(err, &certificate):
		code, hint = "tls_failed", "The certificate must be one that this machine's system trusts."
	case errors.As(err, &opError) && opError.Op == "dial":
	default:
		code = "exchange_failed"
	}
	writer.Header().Set(headerRefusal, code)
	writeProblem(writer, status, code, strings.TrimSpace(err.Error()), hint)
}

// answerBody fails once more was read than left; the far side must not fill this one's disk.
type answerBody struct {
	io.ReadCloser
	left int64
}

// Read answers errOutboundTooLarge beyond the bound.
func (body *answerBody) Read(into []byte) (int, error) {
	count, err := body.ReadCloser.Read(into)
	if body.left -= int64(count); body.left < 0 {
		return 0, errOutboundTooLarge
	}
	return count, err
}
