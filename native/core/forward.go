// Forwarding to the target: what the request loses and gains on the way, and how it fails.

package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// newForward makes the reverse proxy to a target socket, which takes bodies up to so many bytes.
func newForward(node *Node, target string, maxBody int64) http.Handler {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", target)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       node.rewrite,
		Transport:     transport,
		FlushInterval: -1, // SSE goes out as it comes in
		BufferPool:    &bufferPool{},
		ErrorLog:      log.New(logWriter{node}, "", 0),
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			node.forwardFailed(writer, request, err, maxBody)
		},
		ModifyResponse: func(response *http.Response) error {
			for name := range response.Header {
				if strings.HasPrefix(strings.ToLower(name), "cairn-internal-") {
					delete(response.Header, name)
				}
			}
			return nil
		},
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Body != nil && request.Body != http.NoBody {
			body := &boundedBody{ReadCloser: http.MaxBytesReader(writer, request.Body, maxBody)}
			request = request.WithContext(context.WithValue(request.Context(), bodyKey{}, body))
			request.Body = body
		}
		proxy.ServeHTTP(writer, request)
	})
}

// rewrite runs after ReverseProxy removed the hop-by-hop headers, so that a `Connection` header cannot name ours away.
func (node *Node) rewrite(hop *httputil.ProxyRequest) {
	judged := hop.In.Context().Value(verdictKey{}).(*verdict)
	scheme := hop.In.Context().Value(schemeKey{}).(string)
	out := hop.Out
	out.URL.Scheme, out.URL.Host = "http", "target"
	out.URL.RawQuery = hop.In.URL.RawQuery // TypeScript is the only one to interpret it
	out.Host = hop.In.Host
	stripForgeable(out.Header)
	out.Trailer = nil
	for _, name := range []string{"Trailer", "Te", "Expect"} {
		out.Header.Del(name)
	}
	if upgrade := out.Header.Get("Upgrade"); upgrade != "" && !strings.EqualFold(upgrade, "websocket") {
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	out.Header.Set(headerCaller, judged.header)
	out.Header.Set(headerSecret, node.params.IngressSecret)
	out.Header.Set(headerScheme, scheme)
}

func (node *Node) forwardFailed(writer http.ResponseWriter, request *http.Request, err error, maxBody int64) {
	body, _ := request.Context().Value(bodyKey{}).(*boundedBody)
	if body != nil && body.exceeded() {
		writer.Header().Set("Connection", "close")
		writeTooLarge(writer, maxBody)
		return
	}
	if request.Context().Err() != nil {
		return // the caller has gone
	}
	if body != nil && body.malformed() {
		writer.Header().Set("Connection", "close")
		writeProblem(writer, http.StatusBadRequest, "bad_request", "The body ended early or is malformed.", "")
		return
	}
	node.log("warning", "the node's own half did not answer: "+err.Error())
	writer.Header().Set("Retry-After", "1")
	outcome := "unknown"
	if dialling := (*net.OpError)(nil); errors.As(err, &dialling) && dialling.Op == "dial" {
		outcome = "not_written"
	}
	Problem{Status: http.StatusBadGateway, Code: "target_unreachable", Detail: "This node cannot answer at the moment.",
		Hint: "Try again in a second, a write with the same idempotency key; the node's log says more.", Outcome: outcome, Retryable: true}.write(writer)
}

type bodyKey struct{}

// boundedBody remembers that the limit was passed or the caller's bytes were wrong, which the transport's error does not always say.
type boundedBody struct {
	io.ReadCloser
	mu     sync.Mutex
	over   bool
	broken bool
}

// Read reads, and notices the limit and broken bodies.
func (body *boundedBody) Read(into []byte) (int, error) {
	count, err := body.ReadCloser.Read(into)
	if err == nil || err == io.EOF {
		return count, err
	}
	var tooLarge *http.MaxBytesError
	body.mu.Lock()
	defer body.mu.Unlock()
	if errors.As(err, &tooLarge) {
		body.over = true
		return count, fmt.Errorf("the body is too large: %w", tooLarge)
	}
	// After Close the error is our own side's: the target answered before it had read everything.
	body.broken = !errors.Is(err, http.ErrBodyReadAfterClose)
	return count, err
}

func (body *boundedBody) malformed() bool {
	body.mu.Lock()
	defer body.mu.Unlock()
	return body.broken
}

func (body *boundedBody) exceeded() bool {
	body.mu.Lock()
	defer body.mu.Unlock()
	return body.over
}

// bufferPool lends copy buffers of 32 KB.
type bufferPool struct{ pool sync.Pool }

// Get lends a buffer.
func (buffers *bufferPool) Get() []byte {
	if buffer, _ := buffers.pool.Get().(*[32 << 10]byte); buffer != nil {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (buffers *bufferPool) Put(buffer []byte) {
	if len(buffer) == 32<<10 {
		buffers.pool.Put((*[32 << 10]byte)(buffer))
	}
}
