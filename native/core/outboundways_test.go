// Tests of the transports to the host's network, of answers that are not passed on, and of what is said of failures.

package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestWhatEachWaySpeaks(t *testing.T) {
	way := outboundFor(t, nil, nil)
	// No connection is made: the time is over.
	over, end := context.WithCancel(t.Context())
	end()
	for scheme, isRefused := range map[string]bool{"http": true, "https": false} {
		for name, ways := range map[string]*ways{"http": way.http, "grpc": way.grpc} {
			transport := ways.direct[scheme]
			refused := (*outboundRefused)(nil)
			if _, err := transport.DialContext(over, "tcp", "8.8.8.8:443"); err == nil || errors.As(err, &refused) != isRefused {
				t.Errorf("%s over %s to a public address: %v", name, scheme, err)
			}
			spoken, isHTTP := transport.Protocols, name == "http"
			if spoken.HTTP1() != isHTTP || spoken.HTTP2() == isHTTP || spoken.UnencryptedHTTP2() == isHTTP {
				t.Errorf("%s over %s speaks %v", name, scheme, spoken)
			}
			if !transport.DisableCompression {
				t.Errorf("%s over %s asks for compressed answers, whose size is not known", name, scheme)
			}
		}
	}
}

func TestAnswersThatAreNotPassedOn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut {
			conn, _, err := http.NewResponseController(writer).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
			conn.Close()
			return
		}
		length := maxOutboundBytes
		if request.Method != http.MethodPost {
			length++
		}
		writer.Header().Set("Content-Length", strconv.Itoa(length))
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	send := outboundTo(t, nil, []string{host}, nil)
	// The answer to POST is not refused for its length; it ends early.
	for method, isRefused := range map[string]bool{"PUT": true, "GET": true, "HEAD": false, "POST": false} {
		got := send(method, "http", host, "")
		if (got.Status == 502) != isRefused || isRefused != (got.Code == "exchange_failed") || method == "HEAD" && got.Status != 200 {
			t.Errorf("%s: %d %s %s", method, got.Status, got.Code, got.Body)
		}
	}
}

func TestBodiesAboveTheBoundAreRefusedUnread(t *testing.T) {
	way := outboundFor(t, nil, nil)
	for length, want := range map[int64]int{maxOutboundBytes: 400, maxOutboundBytes + 1: 413} {
		request := httptest.NewRequest(http.MethodPost, "/", nil)
		request.ContentLength = length
		request.Header.Set(headerProtocol, "other")
		answer := httptest.NewRecorder()
		if way.serve(answer, request); answer.Code != want {
			t.Errorf("a body of %d bytes: %d", length, answer.Code)
		}
	}
}

func TestWhatIsSaidOfFailures(t *testing.T) {
	for _, row := range []struct {
		err  error
		code string
	}{
		{&proxyRefused{"p:1", "x:443", 403}, "proxy_refused"},
		{&proxyRefused{"p:1", "x:443", 499}, "proxy_refused"},
		{&proxyRefused{"p:1", "x:443", 500}, "exchange_failed"},
		{&net.OpError{Op: "dial", Err: errors.New("no route")}, "dial_failed"},
		{&net.OpError{Op: "proxyconnect", Err: errors.New("no route")}, "dial_failed"},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, "exchange_failed"},
		{errors.New("anything"), "exchange_failed"},
		{&outboundRefused{"x", "why"}, "outbound_refused"},
	} {
		answer := httptest.NewRecorder()
		writeOutboundProblem(answer, httptest.NewRequest(http.MethodGet, "/", nil), row.err)
		if got := answer.Header().Get(headerRefusal); got != row.code {
			t.Errorf("%v: %s, not %s", row.err, got, row.code)
		}
	}
}
