// Forwards admitted requests to the target: which headers are removed and added, and how failures are reported.

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

// targetTransport returns a transport whose requests all go to a unix socket.
func targetTransport(target string) *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", target)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
	}
}

// newForward returns the reverse proxy to a target socket that accepts bodies of up to maxBody bytes.
func newForward(node *Node, target string, maxBody int64) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:   node.rewrite,
		Transport: targetTransport(target),
		// Streams of events and bodies without a length are flushed at each write all the same. With -1 the head of each
		// answer would go out alone, as a packet of its own.
		FlushInterval: 0,
		BufferPool:    &bufferPool{},
		ErrorLog:      log.New(logWriter{node}, "", 0),
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			node.forwardFailed(writer, request, err, maxBody)
		},
		ModifyResponse: func(response *http.Response) error {
			// The target wants no more of this caller, or not the rest of the body.
			closes := response.Close || response.Header.Get(headerClose) != "" || leavesMuch(response.Request)
			for name := range response.Header {
				if strings.HasPrefix(strings.ToLower(name), "cairn-internal-") {
					delete(response.Header, name)
				}
			}
			if closes {
				response.Header.Set("Connection", "close")
			}
			return node.holdAnswer(response)
		},
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Body != nil && request.Body != http.NoBody {
			timed := &timedBody{
				ReadCloser: request.Body, control: http.NewResponseController(writer), waits: waits{pace: bodyPace},
			}
			body := &boundedBody{ReadCloser: http.MaxBytesReader(writer, timed, maxBody), left: request.ContentLength}
			request = request.WithContext(context.WithValue(request.Context(), bodyKey{}, body))
			request.Body = body
			// For a response before the end of the body net/http would read the rest itself, away from the transport that
			// is sending it, which then breaks off the response.
			_ = timed.control.EnableFullDuplex()
			defer endBody(writer, request, timed, body)
		}
		proxy.ServeHTTP(upgradable(writer, request), request)
	})
}

var errAnswersHeld = errors.New("too many answers wait for this caller")

// holdAnswer counts the bytes of an answer for its caller until all of it was taken or the request ended.
func (n *Node) holdAnswer(response *http.Response) error {
	size := response.ContentLength
	if size <= smallAnswerBytes || response.Request.Method == http.MethodHead {
		return nil
	}
	caller := response.Request.Context().Value(callerCheckKey{}).(*callerCheck).caller.ID
	if !n.conns.answers.take(caller, size) {
		return errAnswersHeld
	}
	response.Body = &heldBody{ReadCloser: response.Body, release: func() { n.conns.answers.give(caller, size) }}
	return nil
}

// Answers up to this size are not counted.
const smallAnswerBytes = 64 << 10

// heldBody calls release once, when it is closed.
type heldBody struct {
	io.ReadCloser
	once    sync.Once
	release func()
}

// Close closes the body.
func (b *heldBody) Close() error {
	b.once.Do(b.release)
	return b.ReadCloser.Close()
}

// rewrite runs after ReverseProxy removed the hop-by-hop headers, so a `Connection` header cannot remove ours.
func (n *Node) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host = "http", "target"
	out.URL.RawQuery = pr.In.URL.RawQuery // unchanged: only TypeScript interprets it
	out.Host = pr.In.Host
	stripForgeable(out.Header)
	out.Trailer = nil
	for _, name := range []string{"Trailer", "Te", "Expect"} {
		out.Header.Del(name)
	}
	if upgrade := out.Header.Get("Upgrade"); upgrade != "" && !strings.EqualFold(upgrade, "websocket") {
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	n.vouch(pr.In.Context(), out.Header)
}

// vouch adds what the target takes from this process alone: who is calling, by the check of the request's context.
func (n *Node) vouch(ctx context.Context, header http.Header) {
	header.Set(headerCaller, ctx.Value(callerCheckKey{}).(*callerCheck).header)
	header.Set(headerSecret, n.params.IngressSecret)
	header.Set(headerScheme, ctx.Value(schemeKey{}).(string))
}

func (n *Node) forwardFailed(writer http.ResponseWriter, request *http.Request, err error, maxBody int64) {
	body, _ := request.Context().Value(bodyKey{}).(*boundedBody)
	if leavesMuch(request) {
		writer.Header().Set("Connection", "close")
	}
	if body != nil && body.exceeded() {
		writer.Header().Set("Connection", "close")
		writeTooLarge(writer, maxBody)
		return
	}
	if errors.Is(err, errAnswersHeld) {
		writer.Header().Set("Retry-After", "5")
		Problem{
			Status: http.StatusServiceUnavailable, Code: "unavailable", Outcome: "unknown", Retryable: true,
			Detail: "Too many answers wait to be taken by this device.",
			Hint:   "Read the answers, then ask again, a write with the same idempotency key.",
		}.write(writer)
		return
	}
	if body != nil && body.slow() {
		writer.Header().Set("Connection", "close")
		Problem{
			Status: http.StatusRequestTimeout, Code: "body_too_slow", Outcome: "not_written", Retryable: true,
			Detail: "The body came too slowly and was given up.",
			Hint:   fmt.Sprintf("Send at least %d bytes a second.", bodyPace.perSecond),
		}.write(writer)
		return
	}
	if request.Context().Err() != nil {
		return // the caller disconnected
	}
	if body != nil && body.malformed() {
		writer.Header().Set("Connection", "close")
		writeProblem(writer, http.StatusBadRequest, "bad_request", "The body ended early or is malformed.", "")
		return
	}
	n.log("warning", "the TypeScript half did not answer: "+err.Error())
	writer.Header().Set("Retry-After", "1")
	outcome := "unknown"
	if opError := (*net.OpError)(nil); errors.As(err, &opError) && opError.Op == "dial" {
		outcome = "not_written"
	}
	Problem{
		Status:    http.StatusBadGateway,
		Code:      "target_unreachable",
		Detail:    "This node cannot respond at the moment.",
		Hint:      "Try again in a second, a write with the same idempotency key; the node's log says more.",
		Outcome:   outcome,
		Retryable: true,
	}.write(writer)
}

type bodyKey struct{}

// leftBytes is how much of a body is read after its response to keep the connection.
const leftBytes = 256 << 10

// leavesMuch reports whether the rest of a body is so long that its h1 connection is closed after the response.
func leavesMuch(request *http.Request) bool {
	body, found := request.Context().Value(bodyKey{}).(*boundedBody)
	if !found || request.ProtoMajor > 1 {
		return false
	}
	left := body.unread()
	return left < 0 || left >= leftBytes
}

// endBody reads the rest of a body after its response where the connection is kept, as slowly as any body may come.
// net/http would read it without a deadline, and then panic: at the end of a body it reads ahead, which it does not
// expect after a handler.
func endBody(writer http.ResponseWriter, request *http.Request, timed *timedBody, body *boundedBody) {
	if request.ProtoMajor > 1 || body.unread() == 0 {
		return
	}
	isKept := writer.Header().Get("Connection") != "close" && request.Context().Err() == nil
	if isKept && http.NewResponseController(writer).Flush() == nil {
		_, _ = io.CopyN(io.Discard, body, leftBytes)
	}
	if body.unread() == 0 {
		return
	}
	timed.end()
	if tracked, _ := request.Context().Value(connKey{}).(*trackedConn); tracked != nil && isKept {
		tracked.spent.Store(true)
	}
}

// boundedBody records whether the limit was exceeded or the body was malformed, which the transport's error does not
// always say.
type boundedBody struct {
	io.ReadCloser
	mu     sync.Mutex
	left   int64 // bytes not read yet; below 0 if unknown
	over   bool
	late   bool
	broken bool
}

// Read reads from the body and records an exceeded limit or a malformed body.
func (b *boundedBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left > 0 {
		b.left -= int64(count)
	}
	if err == io.EOF {
		b.left = 0
	}
	if err == nil || err == io.EOF {
		return count, err
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		b.over = true
		return count, fmt.Errorf("the body is too large: %w", tooLarge)
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		b.late = true
	}
	// After Close the error comes from our side: the target replied before it had read the whole body.
	b.broken = !errors.Is(err, http.ErrBodyReadAfterClose)
	return count, err
}

// unread returns how many bytes were not read yet; below 0 if unknown.
func (b *boundedBody) unread() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

func (b *boundedBody) slow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.late
}

func (b *boundedBody) malformed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

func (b *boundedBody) exceeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// bufferPool holds copy buffers of 32 KB.
type bufferPool struct{ pool sync.Pool }

// Get returns a buffer.
func (b *bufferPool) Get() []byte {
	if buffer, _ := b.pool.Get().(*[32 << 10]byte); buffer != nil {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

// Put returns a buffer to the pool.
func (b *bufferPool) Put(buffer []byte) {
	if len(buffer) == 32<<10 {
		b.pool.Put((*[32 << 10]byte)(buffer))
	}
}
