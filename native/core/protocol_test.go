// Tests of the golden lines: each decodes strictly into its struct and encodes to the same JSON. The TypeScript tests
// use the same files.

package core

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func goldenLines(t *testing.T, name string) [][]byte {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "testdata", "protocol", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines [][]byte
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, MaxLineBytes)
	for scanner.Scan() {
		lines = append(lines, bytes.Clone(scanner.Bytes()))
	}
	if len(lines) == 0 {
		t.Fatalf("%s has no lines", name)
	}
	return lines
}

// roundTrip decodes a line strictly into a new value and compares what that encodes to.
func roundTrip(t *testing.T, line []byte, shape any) any {
	t.Helper()
	value := reflect.New(reflect.TypeOf(shape)).Interface()
	if err := decodeStrict(line, value); err != nil {
		t.Errorf("%s: %v", line, err)
		return value
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var before, after any
	json.Unmarshal(line, &before)
	json.Unmarshal(encoded, &after)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s\nbecame\n%s", line, encoded)
	}
	return value
}

var paramShapes = map[string]any{
	"up": UpParams{}, "login": LoginParams{}, "logout": empty{}, "status": empty{}, "peers": empty{}, "whois": WhoIsParams{}, "grants": GrantsParams{},
	"caller": CallerParams{}, "raft-open": RaftOpenParams{}, "raft-members": RaftMembersParams{}, "raft-state": empty{}, "raft-change": RaftChangeParams{}, "raft-close": empty{},
	"listen": ListenParams{}, "ping": PingParams{}, "cert": empty{}, "serve-config": empty{}, "drop": DropParams{}, "notify": NotifyParams{}, "close": empty{},
}

func TestGoldenRequests(t *testing.T) {
	seen := map[string]bool{}
	methodOf := map[int64]string{}
	for _, line := range goldenLines(t, "requests.jsonl") {
		request := roundTrip(t, line, Request{}).(*Request)
		shape, known := paramShapes[request.Method]
		if !known {
			t.Errorf("no shape for %s", request.Method)
			continue
		}
		roundTrip(t, request.Params, shape)
		seen[request.Method] = true
		methodOf[request.ID] = request.Method
	}
	for name := range methods {
		if !seen[name] && name != "panic" {
			t.Errorf("no golden request for %s", name)
		}
	}
	resultShapes := map[string]any{
		"status":       Status{},
		"peers":        PeersResult{},
		"whois":        WhoIsResult{},
		"grants":       GrantsResult{},
		"ping":         PingResult{},
		"cert":         CertResult{},
		"serve-config": ServeConfigResult{},
		"drop":         DropResult{},
		"caller":       WhoIsResult{},
		"raft-open":    RaftOpenResult{},
		"raft-state":   RaftState{},
	}
	codes := map[string]bool{}
	answered := map[string]bool{}
	for _, line := range goldenLines(t, "replies.jsonl") {
		var reply struct {
			ID     int64           `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *Fault          `json:"error"`
		}
		if err := decodeStrict(line, &reply); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		roundTrip(t, line, Reply{})
		if reply.Error != nil {
			codes[reply.Error.Code] = true
			continue
		}
		name := methodOf[reply.ID]
		answered[name] = true
		shape := resultShapes[name]
		if shape == nil {
			shape = empty{}
		}
		roundTrip(t, reply.Result, shape)
	}
	for name := range resultShapes {
		if !answered[name] {
			t.Errorf("no golden result for %s", name)
		}
	}
	for _, code := range []string{CodeBadRequest, CodeUnknownMethod, CodeNotUp, CodeAlreadyUp, CodeAuthKey, CodeNotFound, CodeDialRefused, CodeNotLeader, CodeChanged, CodeTimeout, CodeInternal} {
		if !codes[code] {
			t.Errorf("no golden error with code %s", code)
		}
	}
}

func TestGoldenEvents(t *testing.T) {
	shapes := map[string]any{
		"hello":       HelloEvent{},
		"state":       StateEvent{},
		"login":       LoginEvent{},
		"auth-failed": MessageEvent{},
		"fatal":       MessageEvent{},
		"netmap":      NetmapEvent{},
		"revoked":     RevokedEvent{},
		"log":         LogEvent{},
	}
	seen := map[string]bool{}
	for _, line := range goldenLines(t, "events.jsonl") {
		var head struct{ Event string }
		json.Unmarshal(line, &head)
		if shapes[head.Event] == nil {
			t.Errorf("no shape for the event %q", head.Event)
			continue
		}
		roundTrip(t, line, shapes[head.Event])
		seen[head.Event] = true
	}
	for name := range shapes {
		if !seen[name] {
			t.Errorf("no golden event %s", name)
		}
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	for _, line := range []string{`{"id":1,"method":"up","extra":1}`, `{"id":1,"method":"up"} {}`, `{"id":"1","method":"up"}`, `[]`} {
		if err := decodeStrict([]byte(line), &Request{}); err == nil {
			t.Errorf("%s was taken", line)
		}
	}
	if err := decodeParams(json.RawMessage(`{"authkey":"x","other":2}`), &LoginParams{}); err == nil {
		t.Error("an unknown parameter was taken")
	}
}
