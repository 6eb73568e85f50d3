// Tests of the raft-* methods: a member without a node, and members over real WireGuard whose connections are admitted
// by WhoIs. The store behind raft.sock is a list in memory.

package core

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/tailnettest"
)

// raftStore is the store side of one raft.sock connection, in place of src/log/engine/raft/raft-log.ts.
type raftStore struct {
	conn    net.Conn
	writing sync.Mutex
	mu      sync.Mutex
	index   uint64
	values  []string
	answers map[uint64]byte // frame type by ticket: proposed or refused
	fatal   string
	// successor is what it reports: "" while it may lead.
	successor string
	ended     chan struct{}
}

func connectStore(t *testing.T, socket string) *raftStore {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	store := &raftStore{conn: conn, answers: map[uint64]byte{}, ended: make(chan struct{})}
	t.Cleanup(func() { conn.Close() })
	store.send(raftlog.EncodeHello(raftlog.Applied{}))
	go store.read()
	go store.report()
	return store
}

// report says that the store's process runs, as often as the product does.
func (s *raftStore) report() {
	for {
		s.mu.Lock()
		successor := s.successor
		s.mu.Unlock()
		s.send(raftlog.EncodeFrame(raftlog.FrameAlive, []byte(successor)))
		select {
		case <-s.ended:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *raftStore) send(frame []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, _ = s.conn.Write(frame)
}

func (s *raftStore) read() {
	defer close(s.ended)
	for {
		kind, payload, err := raftlog.ReadFrame(s.conn)
		if err != nil {
			return
		}
		switch kind {
		case raftlog.FrameCommitted:
			s.apply(payload)
		case raftlog.FrameProposed, raftlog.FrameRefused:
			s.mu.Lock()
			s.answers[binary.BigEndian.Uint64(payload)] = kind
			s.mu.Unlock()
		case raftlog.FrameAsk:
			s.answer(payload)
		case raftlog.FrameFatal:
			s.mu.Lock()
			s.fatal = string(payload)
			s.mu.Unlock()
		}
	}
}

func (s *raftStore) apply(payload []byte) {
	s.mu.Lock()
	for count, at := binary.BigEndian.Uint32(payload[8:]), 12; count > 0; count-- {
		size := int(binary.BigEndian.Uint32(payload[at+16:]))
		s.index = binary.BigEndian.Uint64(payload[at:])
		if size > 0 {
			s.values = append(s.values, string(payload[at+20:at+20+size]))
		}
		at += 20 + size
	}
	index := s.index
	s.mu.Unlock()
	s.send(raftlog.EncodeFrame(raftlog.FrameApplied, binary.BigEndian.AppendUint64(nil, index)))
}

func (s *raftStore) answer(payload []byte) {
	var ask struct {
		Do, Path    string
		Index, Term uint64
	}
	_ = json.Unmarshal(payload[8:], &ask)
	s.mu.Lock()
	var response any = map[string]any{}
	switch ask.Do {
	case "mark":
		s.index = max(s.index, ask.Index)
		response = map[string]any{"applied": s.index}
	case "copy":
		text, _ := json.Marshal(map[string]any{"index": s.index, "values": s.values})
		_ = os.WriteFile(ask.Path, text, 0o600)
	case "install":
		var found struct {
			Index  uint64
			Values []string
		}
		text, _ := os.ReadFile(ask.Path)
		_ = json.Unmarshal(text, &found)
		s.index, s.values = found.Index, found.Values
		response = map[string]any{"index": s.index, "term": ask.Term}
	}
	s.mu.Unlock()
	text, _ := json.Marshal(map[string]any{"ok": response})
	s.send(raftlog.EncodeFrame(raftlog.FrameAnswer, payload[:8], text))
}

func (s *raftStore) propose(t *testing.T, ticket uint64, value string) {
	t.Helper()
	send := func() {
		s.send(raftlog.EncodeFrame(raftlog.FramePropose, binary.BigEndian.AppendUint64(nil, ticket), []byte(value)))
	}
	send()
	eventually(t, "an answer to the proposal", testTimeout, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.answers[ticket] == raftlog.FrameRefused {
			delete(s.answers, ticket)
			send() // there was no leader yet
		}
		return s.answers[ticket] == raftlog.FrameProposed
	})
}

func (s *raftStore) holds(values ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.values) == fmt.Sprint(values)
}

func raftParams(t *testing.T, bootstrap bool, members ...RaftMember) RaftOpenParams {
	dir := shortDir(t)
	return RaftOpenParams{
		Folder:    filepath.Join(dir, "raft"),
		Socket:    filepath.Join(dir, "raft.sock"),
		Fleet:     "f1",
		Epoch:     "e1",
		Profile:   "lan",
		Bootstrap: bootstrap,
		Members:   append([]RaftMember{}, members...),
	}
}

func (r *rig) raftState() RaftState {
	var state RaftState
	r.must("raft-state", empty{}, &state)
	return state
}

// openRaft opens a member, connects its store and waits until it runs.
func (r *rig) openRaft(t *testing.T, params RaftOpenParams) (server string, store *raftStore) {
	t.Helper()
	var opened RaftOpenResult
	r.must("raft-open", params, &opened)
	store = connectStore(t, params.Socket)
	eventually(t, "the member to run", testTimeout, func() bool { return r.call("raft-state", empty{}, nil) == nil })
	return opened.Server, store
}

func TestRaftMemberNeedsNoNode(t *testing.T) {
	r := openChannel(t, Options{})
	params := raftParams(t, true)
	if fault := r.call("raft-state", empty{}, nil); fault == nil || fault.Code != CodeNotUp {
		t.Errorf("before raft-open: %v", fault)
	}
	for name, change := range map[string]func(*RaftOpenParams){
		"relative folder": func(params *RaftOpenParams) { params.Folder = "raft" },
		"long socket":     func(params *RaftOpenParams) { params.Socket = "/" + strings.Repeat("x", 110) },
		"profile":         func(params *RaftOpenParams) { params.Profile = "slow" },
		"fleet":           func(params *RaftOpenParams) { params.Fleet = "" },
		"member":          func(params *RaftOpenParams) { params.Members = []RaftMember{{Server: "x", Node: "n"}} },
	} {
		wrong := params
		change(&wrong)
		if fault := r.call("raft-open", wrong, nil); fault == nil || fault.Code != CodeBadRequest {
			t.Errorf("%s: %v", name, fault)
		}
	}
	server, store := r.openRaft(t, params)
	if info, err := os.Stat(params.Folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the raft folder: %v %v", info, err)
	}
	if fault := r.call("raft-open", params, nil); fault == nil || fault.Code != CodeAlreadyUp {
		t.Errorf("a second one: %v", fault)
	}
	store.propose(t, 1, "one")
	state := r.raftState()
	if !state.Leading || state.Leader != server || len(state.Members) != 1 || state.FsyncP99Ms <= 0 || state.FsyncSamples <= 0 || state.Applied == 0 {
		t.Errorf("state %+v", state)
	}
	other := strings.Repeat("ab", 16)
	for name, row := range map[string]struct {
		params RaftChangeParams
		code   string
	}{
		"nothing":          {RaftChangeParams{Do: "grow"}, CodeBadRequest},
		"without previous": {RaftChangeParams{Do: "promote", Server: other}, CodeBadRequest},
		"an old previous":  {RaftChangeParams{Do: "add", Server: other, Previous: state.Configuration + 7}, CodeChanged},
		"no member":        {RaftChangeParams{Do: "promote", Server: other, Previous: state.Configuration}, CodeInternal},
		"bad profile":      {RaftChangeParams{Do: "profile", Profile: "fast"}, CodeBadRequest},
		"profile of one":   {RaftChangeParams{Do: "profile", Profile: "wan", Server: other}, CodeBadRequest},
		"add and profile":  {RaftChangeParams{Do: "add", Profile: "wan", Server: other, Previous: state.Configuration}, CodeBadRequest},
		"several":          {RaftChangeParams{Do: "add", Server: other, Servers: []string{other}, Previous: state.Configuration}, CodeBadRequest},
		"to no server":     {RaftChangeParams{Do: "transfer", Server: "x"}, CodeBadRequest},
		"refuse no server": {RaftChangeParams{Do: "refuse", Servers: []string{other, "x"}}, CodeBadRequest},
		"promote nobody":   {RaftChangeParams{Do: "promote", Server: "x", Previous: state.Configuration}, CodeBadRequest},
	} {
		if fault := r.call("raft-change", row.params, nil); fault == nil || fault.Code != row.code {
			t.Errorf("%s: %v", name, fault)
		}
	}
	r.must("raft-change", RaftChangeParams{Do: "profile", Profile: "wan"}, nil)
	r.must("raft-change", RaftChangeParams{Do: "refuse", Servers: []string{other}}, nil)
	store.propose(t, 2, "two")
	r.must("raft-close", empty{}, nil)
	<-store.ended
	if fault := r.call("raft-state", empty{}, nil); fault == nil || fault.Code != CodeNotUp {
		t.Errorf("after raft-close: %v", fault)
	}
	if !store.holds("one", "two") {
		t.Errorf("applied %v", store.values)
	}
	r.must("raft-close", empty{}, nil)
	r.must("raft-open", params, nil) // the folder is free again
	// Before its store is connected it vouches for no one.
	vouched := make(chan raftlog.VoterRecord, 1)
	testMethod(t, "test-vouch", func(_ context.Context, current *session, _ json.RawMessage) (any, error) {
		instance, err := current.raft.current()
		if err != nil {
			return nil, err
		}
		record, err := instance.network.queryVoter(other)
		vouched <- record
		return empty{}, err
	})
	if r.must("test-vouch", empty{}, nil); (<-vouched != raftlog.VoterRecord{}) {
		t.Error("a member that waits for its store vouches for a server")
	}
}

func TestRaftMembersOverTheTailnet(t *testing.T) {
	tailnet := startTailnet(t)
	named := func(name string) *rig {
		return startRig(t, tailnet, rigOptions{change: func(params *UpParams) { params.Hostname = name }})
	}
	first, second, third := named("first"), named("second"), named("third")
	stranger := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "stranger"})

	firstServer, firstStore := first.openRaft(t, raftParams(t, true))
	firstMember := RaftMember{firstServer, first.state.Self.ID, true}
	firstStore.propose(t, 1, "one")
	secondServer, secondStore := second.openRaft(t, raftParams(t, false, firstMember))
	secondMember := RaftMember{secondServer, second.state.Self.ID, false}

	first.must("raft-members", RaftMembersParams{Members: []RaftMember{firstMember, secondMember}}, nil)
	first.must("raft-change", RaftChangeParams{Do: "add", Server: secondServer, Previous: first.raftState().Configuration},
		nil)
	eventually(t, "the copy and the entries to arrive", testTimeout, func() bool { return secondStore.holds("one") })
	first.must("raft-change",
		RaftChangeParams{Do: "promote", Server: secondServer, Previous: first.raftState().Configuration}, nil)
	firstStore.propose(t, 2, "two")
	eventually(t, "the second to follow", testTimeout, func() bool { return secondStore.holds("one", "two") })

	for name, row := range map[string]struct {
		hello raftlog.Hello
		code  string
	}{
		"in a member's name": {raftlog.Hello{Wire: raftlog.Wire, Fleet: "f1", Epoch: "e1", From: firstServer, To: secondServer, Pool: "control"}, "other_node"},
		"as a new server":    {raftlog.Hello{Wire: raftlog.Wire, Fleet: "f1", Epoch: "e1", From: strings.Repeat("cd", 16), To: secondServer, Pool: "bulk"}, "not_a_member"},
		"of another epoch":   {raftlog.Hello{Wire: raftlog.Wire, Fleet: "f1", Epoch: "e0", From: firstServer, To: secondServer, Pool: "bulk"}, "other_node"},
		"of another fleet":   {raftlog.Hello{Wire: raftlog.Wire, Fleet: "f0", Epoch: "e1", From: strings.Repeat("cd", 16), To: strings.Repeat("ef", 16), Pool: "ask"}, "not_a_member"},
	} {
		reason := sayHello(t, stranger, second.ip(), row.hello)
		if !strings.HasPrefix(reason, row.code+": ") {
			t.Errorf("a stranger with %s got %q", name, reason)
		}
		for _, own := range []string{`"f1"`, `"e1"`, secondServer, first.state.Self.ID} {
			if strings.Contains(reason, own) && !strings.Contains(fmt.Sprintf("%+v", row.hello), strings.Trim(own, `"`)) {
				t.Errorf("a stranger with %s learned %s: %q", name, own, reason)
			}
		}
	}

	// The leader transfers leadership before it stops; the second then is one of two voters and can only be asked to lead.
	first.must("raft-change", RaftChangeParams{Do: "transfer", Server: secondServer}, nil)
	eventually(t, "the second to lead", testTimeout, func() bool { return second.raftState().Leading })
	secondStore.propose(t, 3, "three")

	// A third member joins. The first, whose list lacks it, follows it as leader: the voters that it knows confirm it.
	secondMember.Voter = true
	thirdServer, thirdStore := third.openRaft(t, raftParams(t, false, firstMember, secondMember))
	thirdMember := RaftMember{thirdServer, third.state.Self.ID, false}
	second.must("raft-members", RaftMembersParams{Members: []RaftMember{firstMember, secondMember, thirdMember}}, nil)
	third.must("raft-members", RaftMembersParams{Members: []RaftMember{firstMember, secondMember, thirdMember}}, nil)
	second.must("raft-change",
		RaftChangeParams{Do: "add", Server: thirdServer, Previous: second.raftState().Configuration}, nil)
	eventually(t, "the third to follow", testTimeout, func() bool { return thirdStore.holds("one", "two", "three") })
	second.must("raft-change",
		RaftChangeParams{Do: "promote", Server: thirdServer, Previous: second.raftState().Configuration}, nil)
	eventually(t, "all to know all voters", testTimeout, func() bool {
		return first.raftState().Configuration == second.raftState().Configuration &&
			third.raftState().Configuration == second.raftState().Configuration
	})
	second.must("raft-change", RaftChangeParams{Do: "transfer", Server: thirdServer}, nil)
	eventually(t, "the third to lead", testTimeout, func() bool { return third.raftState().Leading })
	term := third.raftState().Term
	thirdStore.propose(t, 4, "four")
	eventually(t, "the first to follow a leader missing from its list", testTimeout,
		func() bool { return firstStore.holds("one", "two", "three", "four") })
	if state := first.raftState(); state.Term != term || state.Leader != thirdServer {
		t.Errorf("it came by another leader: %+v", state)
	}
	thirdStore.mu.Lock()
	thirdStore.successor = secondServer
	thirdStore.mu.Unlock()
	eventually(t, "the second to lead again", testTimeout, func() bool { return second.raftState().Leading })

	// A member removed from the list is disconnected at once and refused from then on; the other side learns why.
	first.must("raft-members", RaftMembersParams{Members: []RaftMember{firstMember}}, nil)
	eventually(t, "the second to learn that it is refused", testTimeout, func() bool {
		state := second.raftState()
		return len(state.Refused) == 1 && state.Refused[0].Server == firstServer &&
			strings.HasPrefix(state.Refused[0].Reason, "not_a_member: ")
	})
}

// sayHello dials the raft port as a tailnet client and returns the refusal.
func sayHello(t *testing.T, client *tailnettest.Client, ip string, hello raftlog.Hello) string {
	t.Helper()
	conn := dialRaw(t, client, ip+":4748")
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testTimeout))
	text, _ := json.Marshal(hello)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	var head [4]byte
	if _, err := conn.Read(head[:]); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := conn.Read(reply); err != nil {
		t.Fatal(err)
	}
	var response struct{ Refused string }
	if err := json.Unmarshal(reply, &response); err != nil {
		t.Fatal(err)
	}
	return response.Refused
}

func TestCallerByIDAndOwnTarget(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	peers := startTarget(t)
	r.must("listen", ListenParams{Port: 4747, Target: peers.path, MaxBodyBytes: 1 << 20}, nil)
	caller := get(t, client, "http://cairn:4747/peer/beat").caller(t)
	if peers.seen.Load() != 1 || r.target.seen.Load() != 0 {
		t.Errorf("%d requests came to the peer socket, %d to the other", peers.seen.Load(), r.target.seen.Load())
	}
	var found WhoIsResult
	r.must("caller", CallerParams{ID: caller.ID}, &found)
	if fmt.Sprint(found.Caller) != fmt.Sprint(caller) {
		t.Errorf("%v is not %v", found.Caller, caller)
	}
	for _, id := range []string{"nOBODY", r.state.Self.ID} {
		if fault := r.call("caller", CallerParams{ID: id}, nil); fault == nil || fault.Code != CodeNotFound {
			t.Errorf("%s: %v", id, fault)
		}
	}
	if _, err := r.node().addressOf(context.Background(), caller.ID); err != nil {
		t.Error(err)
	}
}
