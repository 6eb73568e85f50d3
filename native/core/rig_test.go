// Shared by the tests: a private tailnet, one node driven through its channel, and a target that records what reaches
// it.

package core

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
)

const (
	testCapability = "cairn.internal/cap/cairn"
	testTimeout    = 15 * time.Second
)

func startTailnet(t *testing.T) *tailnettest.Tailnet {
	t.Helper()
	tailnet, err := tailnettest.Start(tailnettest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tailnet.Close(); err != nil {
			t.Errorf("closing the tailnet: %v", err)
		}
	})
	return tailnet
}

func startClient(t *testing.T, tailnet *tailnettest.Tailnet, options tailnettest.ClientOptions) *tailnettest.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	client, err := tailnet.Client(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// target is the HTTP server on the unix socket, in place of the TypeScript half.
type target struct {
	path    string
	seen    atomic.Int64
	mu      sync.Mutex
	last    *http.Request
	handler atomic.Pointer[http.HandlerFunc]
	server  *http.Server
}

func startTarget(t *testing.T) *target {
	t.Helper()
	target := &target{path: filepath.Join(shortDir(t), "ingress.sock")}
	listener, err := net.Listen("unix", target.path)
	if err != nil {
		t.Fatal(err)
	}
	echo := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		answer := map[string]any{
			"method":  request.Method,
			"path":    request.URL.RequestURI(),
			"host":    request.Host,
			"headers": request.Header,
			"body":    string(body),
			"trailer": request.Trailer,
		}
		_ = json.NewEncoder(writer).Encode(answer)
	})
	target.handler.Store(&echo)
	target.server = &http.Server{Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		target.seen.Add(1)
		target.mu.Lock()
		target.last = request
		target.mu.Unlock()
		(*target.handler.Load())(writer, request)
	})}
	go target.server.Serve(listener)
	t.Cleanup(func() { target.server.Close() })
	return target
}

func (t *target) handle(handler http.HandlerFunc) { t.handler.Store(&handler) }

// shortDir returns a 0700 folder whose path leaves room for socket names.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func randomSecret() string {
	var bytes [32]byte
	rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// rig is one node, driven through the channel as TypeScript would.
type rig struct {
	t      *testing.T
	stream net.Conn
	params UpParams
	target *target
	served chan struct{}

	mu      sync.Mutex
	lastID  int64
	waiting map[int64]chan json.RawMessage
	events  []map[string]any
	news    chan struct{}
	state   Status
}

// openChannel starts the Go half on one end of a pipe.
func openChannel(t *testing.T, options Options) *rig {
	t.Helper()
	ours, theirs := net.Pipe()
	r := &rig{
		t:       t,
		stream:  ours,
		waiting: map[int64]chan json.RawMessage{},
		news:    make(chan struct{}),
		served:  make(chan struct{}),
	}
	go func() {
		defer close(r.served)
		ServeWith(theirs, options)
	}()
	go r.read()
	t.Cleanup(func() {
		ours.Close()
		select {
		case <-r.served:
		case <-time.After(5 * time.Second):
			t.Error("the Go half still runs 5 s after its stream ended")
		}
	})
	return r
}

func (r *rig) read() {
	reader := bufio.NewReaderSize(r.stream, 1<<20)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return
		}
		var head struct {
			ID    int64  `json:"id"`
			Event string `json:"event"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			panic(fmt.Sprintf("the Go half wrote %q: %v", line, err))
		}
		r.mu.Lock()
		if head.Event == "" {
			if waiter := r.waiting[head.ID]; waiter != nil {
				waiter <- line
				delete(r.waiting, head.ID)
			}
		} else {
			var event map[string]any
			json.Unmarshal(line, &event)
			if head.Event == "state" {
				json.Unmarshal(line, &r.state)
			}
			if os.Getenv("CAIRN_TEST_LOG") != "" {
				fmt.Printf("%s", line)
			}
			r.events = append(r.events, event)
		}
		close(r.news)
		r.news = make(chan struct{})
		r.mu.Unlock()
	}
}

// send starts a request; the reply line arrives on the channel.
func (r *rig) send(method string, params any) chan json.RawMessage {
	r.t.Helper()
	text, err := json.Marshal(params)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.lastID++
	id := r.lastID
	waiter := make(chan json.RawMessage, 1)
	r.waiting[id] = waiter
	r.mu.Unlock()
	line, _ := json.Marshal(Request{ID: id, Method: method, Params: text})
	if _, err := r.stream.Write(append(line, '\n')); err != nil {
		r.t.Fatal(err)
	}
	return waiter
}

// call runs a method; into may be nil. It returns nil on success.
func (r *rig) call(method string, params, into any) *Fault {
	r.t.Helper()
	select {
	case line := <-r.send(method, params):
		var reply struct {
			Result json.RawMessage
			Error  *Fault
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			r.t.Fatal(err)
		}
		if reply.Error == nil && into != nil {
			if err := json.Unmarshal(reply.Result, into); err != nil {
				r.t.Fatalf("%s answered %s: %v", method, reply.Result, err)
			}
		}
		return reply.Error
	case <-time.After(testTimeout):
		r.t.Fatalf("%s did not answer", method)
		return nil
	}
}

func (r *rig) must(method string, params, into any) {
	r.t.Helper()
	if fault := r.call(method, params, into); fault != nil {
		r.t.Fatalf("%s: %v (%s)", method, fault, fault.Hint)
	}
}

// await waits until look returns true for the state known so far.
func (r *rig) await(what string, look func() bool) {
	r.t.Helper()
	deadline := time.After(testTimeout)
	for {
		r.mu.Lock()
		done, news := look(), r.news
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited in vain for %s; state %+v", what, r.state)
		}
	}
}

// awaitEvent waits for an event at or after index from and returns it and the index after it.
func (r *rig) awaitEvent(name string, from int) (found map[string]any, next int) {
	r.t.Helper()
	r.await("the event "+name, func() bool {
		for index := from; index < len(r.events); index++ {
			if r.events[index]["event"] == name {
				found, next = r.events[index], index+1
				return true
			}
		}
		return false
	})
	return found, next
}

// node returns the running node itself, for tests of what the channel does not show.
func (r *rig) node() *Node {
	r.t.Helper()
	found := make(chan *Node, 1)
	testMethod(r.t, "test-node", func(_ context.Context, current *session, _ json.RawMessage) (any, error) {
		current.mu.Lock()
		defer current.mu.Unlock()
		found <- current.node
		return empty{}, nil
	})
	r.must("test-node", empty{}, nil)
	return <-found
}

func (r *rig) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

func (r *rig) awaitRunning() {
	r.t.Helper()
	r.await("state Running",
		func() bool { return r.state.State == "Running" && r.state.Self != nil && len(r.state.Self.IPs) > 0 })
}

func upParams(t *testing.T, tailnet *tailnettest.Tailnet, target *target, hostname string) UpParams {
	dir := shortDir(t)
	return UpParams{
		StateDir: filepath.Join(dir, "state"), SocketDir: filepath.Join(dir, "run"), Hostname: hostname,
		ControlURL: tailnet.ControlURL(), Capability: testCapability, Target: target.path,
		IngressSecret: randomSecret(), EgressSecret: randomSecret(),
		Shared: "none", AllowedHosts: []string{}, AllowedOrigins: []string{}, MaxBodyBytes: 1 << 20, TestMode: true,
	}
}

type rigOptions struct {
	expect  *tailnettest.Expect
	options Options
	change  func(*UpParams)
	noWait  bool
}

// startRig starts a node called "cairn" on the tailnet and waits until it runs and listens on 80.
func startRig(t *testing.T, tailnet *tailnettest.Tailnet, options rigOptions) *rig {
	t.Helper()
	target := startTarget(t)
	r := openChannel(t, options.options)
	r.target = target
	r.params = upParams(t, tailnet, target, "cairn")
	if options.change != nil {
		options.change(&r.params)
	}
	if options.expect != nil {
		options.expect.Hostname = "cairn"
		if err := tailnet.Expect(*options.expect); err != nil {
			t.Fatal(err)
		}
	}
	r.must("up", r.params, nil)
	r.must("listen", ListenParams{Port: 80}, nil)
	if !options.noWait {
		r.awaitRunning()
	}
	return r
}

func (r *rig) ip() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Self.IPs[0]
}

// answer is what the target echoes, or a problem document.
type answer struct {
	Status  int
	Header  http.Header
	Body    string
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
	Sent    string              `json:"body"`
	Trailer map[string][]string `json:"trailer"`
	Code    string              `json:"code"`
	Hint    string              `json:"hint"`
	Title   string              `json:"title"`
}

func (a answer) caller(t *testing.T) Caller {
	t.Helper()
	var caller Caller
	if values := a.Headers[headerCaller]; len(values) != 1 {
		t.Fatalf("the target got %d caller headers (%d %s)", len(values), a.Status, a.Body)
	} else if err := decodeStrict([]byte(values[0]), &caller); err != nil {
		t.Fatal(err)
	}
	return caller
}

// ask sends one request from a client node and reads the whole response. The first packets between two nodes may be
// lost while they find each other, so a failed dial is tried again: WireGuard repeats a handshake each 5 s, and on a
// busy machine several in a row were seen to be lost where an address had just changed its node.
func ask(t *testing.T, client *tailnettest.Client, request *http.Request) answer {
	t.Helper()
	var response *http.Response
	var err error
	for deadline := time.Now().Add(3 * testTimeout); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		response, err = client.HTTP.Do(request.Clone(ctx))
		if err == nil {
			defer cancel()
			break
		}
		cancel()
		var dialing *net.OpError
		if time.Now().After(deadline) ||
			!(errors.As(err, &dialing) && dialing.Op == "dial" || strings.Contains(err.Error(), "connect") || errors.Is(err, context.DeadlineExceeded)) {
			t.Fatalf("%s %s: %v", request.Method, request.URL, err)
		}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	_ = json.Unmarshal(body, &got)
	return got
}

func get(t *testing.T, client *tailnettest.Client, url string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for index := 0; index < len(headers); index += 2 {
		if headers[index] == "Host" {
			request.Host = headers[index+1]
			continue
		}
		request.Header.Add(headers[index], headers[index+1])
	}
	return ask(t, client, request)
}

func eventually(t *testing.T, what string, limit time.Duration, look func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !look(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", limit, what)
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
