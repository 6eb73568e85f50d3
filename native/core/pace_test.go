// Tests of what slow and greedy callers may hold: bodies that never end, answers that are never taken, all connections.

package core

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
)

// hasten makes the deadlines short for one test. Nothing is measured: a test waits until the deadline has come.
func hasten(t *testing.T) {
	t.Helper()
	body, answer := bodyPace, answerPace
	bodyPace = pace{grace: 300 * time.Millisecond, perSecond: 1 << 30}
	// Longer: a refusal may have to wait for a body first.
	answerPace = pace{grace: time.Second, perSecond: 1 << 30}
	t.Cleanup(func() { bodyPace, answerPace = body, answer })
}

func TestFourGreedyCallersLeaveRoom(t *testing.T) {
	all := newShares(128, 32)
	greedy := func(caller string) (held int) {
		for all.take(caller, 1) {
			held++
		}
		return held
	}
	for round := range 20 {
		for _, caller := range []string{"a", "b", "c", "d"} {
			if held := greedy(caller); round == 0 && held < 16 {
				t.Errorf("%s got only %d", caller, held)
			}
		}
	}
	if held := greedy("newcomer"); held < 8 {
		t.Errorf("the newcomer got %d of 128", held)
	}
	for caller, held := range all.held {
		if held > 32 {
			t.Errorf("%s holds %d", caller, held)
		}
	}
	if all.take("big", 33) || all.take("big", 129) {
		t.Error("more than one caller may hold was taken")
	}
	for caller, held := range all.held {
		all.give(caller, held)
	}
	if all.sum != 0 || len(all.held) != 0 || !all.take("big", 32) {
		t.Errorf("%d left, held %v", all.sum, all.held)
	}
}

func TestDevicesWithTwoAddressesAreOneCaller(t *testing.T) {
	all := newConnections()
	count := 0
	for device := range 4 {
		for address := range 2 {
			remote := netip.AddrFrom4([4]byte{100, 64, byte(device), byte(address)})
			for {
				tracked := all.admit(fakeConn{remote: net.TCPAddrFromAddrPort(netip.AddrPortFrom(remote, 1))})
				if tracked == nil {
					break
				}
				if !all.identify(tracked, strconv.Itoa(device)) {
					tracked.Close()
					break
				}
				count++
			}
		}
	}
	if count != 4*maxConnectionsPerCaller || len(all.open) != count {
		t.Errorf("four devices hold %d connections, %d are open", count, len(all.open))
	}
	newcomer := all.admit(fakeConn{remote: &net.TCPAddr{IP: net.IPv4(100, 64, 9, 9), Port: 1}})
	if newcomer == nil || !all.identify(newcomer, "newcomer") || !all.identify(newcomer, "newcomer") {
		t.Error("a fifth device was refused")
	}
	all.drop(nil)
	if len(all.byCaller.held) != 0 || len(all.byAddress.held) != 0 {
		t.Errorf("left: %v, %v", all.byCaller.held, all.byAddress.held)
	}
}

func TestSlowBodiesAreGivenUp(t *testing.T) {
	hasten(t)
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	head := "PUT /x HTTP/1.1\r\nHost: cairn\r\n"
	for _, request := range []string{
		head + "Content-Length: 100000\r\n\r\nthe first bytes",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		got := sendRaw(t, client, r.ip()+":80", request)
		if !strings.HasPrefix(got, "HTTP/1.1 408") || !strings.Contains(got, "body_too_slow") ||
			!strings.Contains(got, "Connection: close") {
			t.Errorf("answer %q", got)
		}
	}
	// A body that Go refuses before it is read is not waited for either.
	got := sendRaw(t, client, r.ip()+":80", "PUT /x HTTP/1.1\r\nHost: other\r\nContent-Length: 1000\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 421") {
		t.Errorf("answer %q", got)
	}
	// The deadline of a body is none for what comes after it: neither a slow answer nor the next request.
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		time.Sleep(2 * bodyPace.grace)
		_, _ = writer.Write(body)
	})
	got = sendRaw(t, client, r.ip()+":80", head+"Content-Length: 5\r\n\r\nhello"+
		"PUT /x HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\nContent-Length: 5\r\n\r\nagain")
	if strings.Count(got, "200 OK") != 2 || !strings.Contains(got, "hello") || !strings.Contains(got, "again") {
		t.Errorf("answers %q", got)
	}
}

func TestRefusalsComeBeforeTheBody(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	r.target.handle(func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set(headerClose, "1")
		http.Error(writer, "no right", http.StatusForbidden)
	})
	conn := dialRaw(t, client, r.ip()+":80")
	defer conn.Close()
	if _, err := io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: cairn\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The body never comes: with the usual deadlines the answer is there long before they are over.
	conn.SetReadDeadline(time.Now().Add(bodyPace.grace / 2))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusForbidden || !response.Close {
		t.Fatal(response, err)
	}
}

func TestAnswersBeforeTheBodyAreWhole(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	text := strings.Repeat("x", 60_000)
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		_ = http.NewResponseController(writer).EnableFullDuplex()
		writer.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(writer, text)
		_, _ = io.Copy(io.Discard, request.Body)
	})
	conn := dialRaw(t, client, r.ip()+":80")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(4 * testTimeout))
	reader := bufio.NewReader(conn)
	// Whether the body comes while the answer is sent is chance.
	for round := range 200 {
		_, _ = io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: cairn\r\nContent-Length: 2\r\n\r\n")
		time.Sleep(time.Duration(round%5) * time.Millisecond)
		_, _ = io.WriteString(conn, "{}")
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusConflict || response.Close {
			t.Fatal(round, response, err)
		}
		if got, err := io.ReadAll(response.Body); err != nil || string(got) != text {
			t.Fatal(round, len(got), err)
		}
	}
	// So much is not waited for, and the connection does not outlive it.
	_, _ = io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: cairn\r\nContent-Length: 1000000\r\n\r\n")
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusConflict || !response.Close {
		t.Fatal(response, err)
	}
}

func TestTheRestOfABodyIsNotAwaitedForEver(t *testing.T) {
	hasten(t)
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	var requests atomic.Int32
	fields := ""
	r.target.handle(func(writer http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		conn, _, err := http.NewResponseController(writer).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		// As Bun: the answer is whole before the body, which is then read and thrown away.
		_, _ = io.WriteString(conn, "HTTP/1.1 409 Conflict\r\n"+fields+"Content-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	})
	put := "PUT /x HTTP/1.1\r\nHost: cairn\r\n"
	for _, row := range []struct {
		fields, sent string
		closes       bool
	}{
		{"", "Content-Length: 100\r\n\r\n0123456789", false},
		{"", "Content-Length: 100\r\n\r\n", false},
		{"", "Content-Length: 1000000\r\n\r\n0123456789", true},
		{"", "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n", true},
		{headerClose + ": 1\r\n", "Content-Length: 100\r\n\r\n0123456789", true},
	} {
		fields = row.fields
		conn := dialRaw(t, client, r.ip()+":80")
		conn.SetDeadline(time.Now().Add(testTimeout))
		_, _ = io.WriteString(conn, put+row.sent)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusConflict || response.Close != row.closes {
			t.Fatal(row.sent, response, err)
		}
		_, _ = io.ReadAll(response.Body)
		// What comes late is no request.
		time.Sleep(4 * bodyPace.grace)
		_, _ = io.WriteString(conn, "GET /late HTTP/1.1\r\nHost: cairn\r\n\r\n")
		timeout := net.Error(nil)
		if _, err := http.ReadResponse(reader, nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%q: the connection is open: %v", row.sent, err)
		}
		conn.Close()
	}
	if count := requests.Load(); count != 5 {
		t.Errorf("the target saw %d requests", count)
	}
	// A rest that comes in time keeps the connection, for longer than it would have been waited for.
	fields = ""
	conn := dialRaw(t, client, r.ip()+":80")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testTimeout))
	reader := bufio.NewReader(conn)
	for range 2 {
		_, _ = io.WriteString(conn, put+"Content-Length: 4\r\n\r\nab")
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.Close {
			t.Fatal(response, err)
		}
		_, _ = io.ReadAll(response.Body)
		_, _ = io.WriteString(conn, "cd")
		time.Sleep(3 * bodyPace.grace)
	}
}

func TestAnswersThatNobodyTakesEnd(t *testing.T) {
	hasten(t)
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	ended := make(chan error, 2)
	large := strings.Repeat("x", 32<<20)
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/stream" {
			writer.Header().Set("Content-Type", "text/event-stream")
		}
		_, err := io.WriteString(writer, large)
		ended <- err
	})
	for _, path := range []string{"/plain", "/stream"} {
		conn := dialRaw(t, client, r.ip()+":80")
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: cairn\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Errorf("%s was written as a whole, though nobody reads it", path)
		}
	}
}

func TestStreamsOutliveTheWriteDeadline(t *testing.T) {
	hasten(t)
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	r.target.handle(func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(writer, ": quiet\n\n")
			_ = http.NewResponseController(writer).Flush()
			time.Sleep(2 * answerPace.grace)
		}
		_, _ = io.WriteString(writer, "data: end\n\n")
	})
	got := sendRaw(t, client, r.ip()+":80", "GET /s HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n")
	if strings.Count(got, ": quiet") != 3 || !strings.Contains(got, "data: end") || !strings.HasSuffix(got, "0\r\n\r\n") {
		t.Errorf("stream %q", got)
	}
}

func TestHeldAnswersAreBounded(t *testing.T) {
	node := &Node{conns: newConnections()}
	check := &callerCheck{caller: Caller{ID: "greedy"}}
	request, _ := http.NewRequestWithContext(
		context.WithValue(t.Context(), callerCheckKey{}, check), http.MethodGet, "http://target/", nil)
	answer := func(size int64) *http.Response {
		return &http.Response{ContentLength: size, Request: request, Body: io.NopCloser(strings.NewReader(""))}
	}
	var open []*http.Response
	for {
		next := answer(4 << 20)
		if node.holdAnswer(next) != nil {
			break
		}
		open = append(open, next)
	}
	if len(open) != maxAnswerBytesPerCaller/(4<<20) {
		t.Errorf("%d answers of 4 MiB are held", len(open))
	}
	if node.holdAnswer(answer(smallAnswerBytes)) != nil || node.holdAnswer(answer(-1)) != nil {
		t.Error("a small answer or a stream was refused")
	}
	for _, response := range open {
		response.Body.Close()
		response.Body.Close()
	}
	if node.conns.answers.sum != 0 {
		t.Errorf("%d bytes are still held", node.conns.answers.sum)
	}
}
