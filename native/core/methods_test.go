// Tests of what the methods of the channel refuse, without a tailnet.

package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// codeOf returns the code of a fault, "" for success.
func codeOf(err error) string {
	fault := (*Fault)(nil)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &fault):
		return fault.Code
	}
	return err.Error()
}

func TestBoundsOfParameters(t *testing.T) {
	engine, node := startFakeEngine(t)
	engine.broken = true
	s := &session{ctx: t.Context(), node: node}
	run := func(name string, params any) string {
		raw, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		_, err = methods[name](t.Context(), s, raw)
		return codeOf(err)
	}
	for timeoutMs, isRefused := range map[int]bool{0: true, 1: false, 25_000: false, 25_001: true, -1: true} {
		if code := run("ping", PingParams{IP: "100.64.0.1", TimeoutMs: timeoutMs}); (code == CodeBadRequest) != isRefused || code == "" {
			t.Errorf("a ping of %d ms: %s", timeoutMs, code)
		}
	}
	if code := run("ping", PingParams{IP: "laptop", TimeoutMs: 1}); code != CodeBadRequest {
		t.Errorf("a ping of a name: %s", code)
	}
	for name, params := range map[string]ListenParams{
		"port 0":              {},
		"port 65536":          {Port: 65536},
		"a relative target":   {Port: 80, Target: "t.sock", MaxBodyBytes: 1},
		"a target alone":      {Port: 80, Target: "/t.sock"},
		"a bound alone":       {Port: 80, MaxBodyBytes: 1},
		"a target, no bound":  {Port: 80, Target: "/t.sock", MaxBodyBytes: 0},
		"a bound of nothing":  {Port: 80, Target: "/t.sock", MaxBodyBytes: -1},
		"a port above, twice": {Port: 1 << 20},
	} {
		if code := run("listen", params); code != CodeBadRequest {
			t.Errorf("listen with %s: %q", name, code)
		}
	}
	for _, text := range []string{"", "laptop", "100.64.0.1:", "[::1", "100.64.0.1:99999"} {
		if code := run("whois", WhoIsParams{Addr: text}); code != CodeBadRequest {
			t.Errorf("whois of %q: %q", text, code)
		}
	}
	for text, want := range map[string]string{"100.64.0.1": "100.64.0.1", "100.64.0.1:80": "100.64.0.1", "::ffff:100.64.0.1": "100.64.0.1",
		"[fd7a::1]:80": "fd7a::1", "[::ffff:100.64.0.1]:80": "100.64.0.1"} {
		if addr, err := parseAddr(text); err != nil || addr.String() != want {
			t.Errorf("%s is %v: %v", text, addr, err)
		}
	}
	for _, name := range []string{"up", "notify", "close", "status", "raft-state"} {
		if _, err := methods[name](t.Context(), s, json.RawMessage(`{"surprise":1}`)); codeOf(err) != CodeBadRequest {
			t.Errorf("%s with an unknown field: %v", name, err)
		}
	}
	if code := run("notify", NotifyParams{Socket: filepath.Join(t.TempDir(), "none"), State: "READY=1"}); code != CodeNotFound {
		t.Errorf("notify where no one listens: %q", code)
	}
	for _, raw := range []string{"", "null", "{}"} {
		if _, err := methods["drop"](t.Context(), s, json.RawMessage(raw)); err != nil {
			t.Errorf("params %q: %v", raw, err)
		}
	}
	if _, err := methods["drop"](t.Context(), &session{ctx: t.Context()}, nil); codeOf(err) != CodeNotUp {
		t.Errorf("without a node: %v", err)
	}
}

func TestParametersOfAStart(t *testing.T) {
	folder := shortDir(t)
	good := UpParams{
		StateDir: filepath.Join(folder, "s"), SocketDir: filepath.Join(folder, "r"), Hostname: "cairn",
		Capability: testCapability, Target: "/t.sock", IngressSecret: randomSecret(), EgressSecret: randomSecret(),
		Shared: "none", MaxBodyBytes: 1,
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		change func(*UpParams)
		isGood bool
	}{
		{"nothing changed", func(*UpParams) {}, true},
		{"an http control", func(p *UpParams) { p.ControlURL = "http://control.example" }, true},
		{"an https control", func(p *UpParams) { p.ControlURL = "https://control.example" }, true},
		{"another control", func(p *UpParams) { p.ControlURL = "control.example" }, false},
		{"grants of others", func(p *UpParams) { p.Shared = "grants" }, true},
		{"no word for others", func(p *UpParams) { p.Shared = "" }, false},
		{"a bad ingress secret", func(p *UpParams) { p.IngressSecret = "x" }, false},
		{"a bad egress secret", func(p *UpParams) { p.EgressSecret = "x" }, false},
		{"no body", func(p *UpParams) { p.MaxBodyBytes = 0 }, false},
		{"a key", func(p *UpParams) { p.AuthKey = "tskey-auth-x" }, true},
		{"a client's secret as key", func(p *UpParams) { p.AuthKey = clientSecretPrefix + "x" }, false},
		{"a client's secret", func(p *UpParams) { p.ClientSecret = clientSecretPrefix + "x" }, false},
		{"a client's secret and a tag", func(p *UpParams) { p.ClientSecret, p.Tags = "x", []string{"tag:a"} }, true},
		{"a link as folder", func(p *UpParams) { p.StateDir = filepath.Join(folder, "link") }, false},
		{"a file as folder", func(p *UpParams) { p.SocketDir = filepath.Join(folder, "file") }, false},
		{"an open folder for sockets", func(p *UpParams) { p.SocketDir = "/tmp" }, false},
	} {
		params := good
		row.change(&params)
		if err := checkUpParams(&params); (err == nil) != row.isGood || err != nil && codeOf(err) != CodeBadRequest {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestParametersOfTheRaft(t *testing.T) {
	server := func(number int) string { return fmt.Sprintf("%032x", number) }
	var most []RaftMember
	for number := range maxRaftMembers {
		most = append(most, RaftMember{Server: server(number), Node: "n1"})
	}
	if err := checkRaftMembers(most); err != nil {
		t.Errorf("as many members as are possible: %v", err)
	}
	for name, members := range map[string][]RaftMember{
		"one more":        append(most, RaftMember{Server: server(maxRaftMembers), Node: "n1"}),
		"one twice":       {{Server: server(1), Node: "n1"}, {Server: server(1), Node: "n2"}},
		"no server":       {{Node: "n1"}},
		"no node":         {{Server: server(1)}},
		"a node's number": {{Server: server(1), Node: "n 1"}},
	} {
		if err := checkRaftMembers(members); codeOf(err) != CodeBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	folder := shortDir(t)
	path := filepath.Join(folder, strings.Repeat("s", maxSocketPath-len(folder)-1))
	good := RaftOpenParams{Folder: filepath.Join(folder, "raft"), Socket: path, Fleet: "f", Epoch: "e", Profile: "lan"}
	for name, change := range map[string]func(*RaftOpenParams){
		"":                  func(*RaftOpenParams) {},
		"a longer socket":   func(params *RaftOpenParams) { params.Socket += "s" },
		"a relative socket": func(params *RaftOpenParams) { params.Socket = "raft.sock" },
		"no epoch":          func(params *RaftOpenParams) { params.Epoch = "" },
		"an open folder":    func(params *RaftOpenParams) { params.Folder = "/tmp" },
		"sockets for all":   func(params *RaftOpenParams) { params.Socket = "/tmp/raft.sock" },
	} {
		params := good
		change(&params)
		if _, err := checkRaftOpen(&params); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for err, code := range map[error]string{
		nil: "", raft.ErrNotLeader: CodeNotLeader, raft.ErrLeadershipLost: CodeNotLeader, raft.ErrRaftShutdown: CodeNotLeader,
		raft.ErrLeadershipTransferInProgress: CodeNotLeader, raft.ErrEnqueueTimeout: CodeTimeout,
		errors.New("configuration changed since 7"): CodeChanged, errors.New("disk"): CodeInternal,
	} {
		if got := codeOf(raftFault(err)); got != code {
			t.Errorf("%v is %s", err, got)
		}
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenPrivate(file); codeOf(err) != CodeBadRequest {
		t.Errorf("a file in place of the socket: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("it is gone: %v", err)
	}
	for range 2 {
		listener, err := listenPrivate(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket has the mode %v: %v", info.Mode(), err)
		}
		// What a process leaves that was killed is replaced.
		defer listener.Close()
	}
}
