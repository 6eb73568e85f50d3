// Tests of the raft.sock encoding, whose golden frames the TypeScript tests share, and of the small parts: the vote,
// the hello, copies and the link's limits.

package raftlog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// golden returns the test vectors that both sides share: frame name → hex.
func golden(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "raft", "frames.json"))
	if err != nil {
		t.Fatal(err)
	}
	var frames map[string]string
	if err := json.Unmarshal(text, &frames); err != nil {
		t.Fatal(err)
	}
	return frames
}

func TestFramesMatchGoldenBytes(t *testing.T) {
	want := golden(t)
	made := map[string][]byte{
		"hello":      EncodeHello(Applied{Index: 258, Term: 3, Server: "00112233445566778899aabbccddeeff"}),
		"propose":    EncodeFrame(FramePropose, numbers(7), []byte("entry")),
		"barrier":    EncodeFrame(FramePropose, numbers(8)),
		"applied":    EncodeFrame(FrameApplied, numbers(1<<40)),
		"answer":     EncodeFrame(FrameAnswer, numbers(5), []byte(`{"ok":{"applied":9}}`)),
		"alive":      EncodeFrame(FrameAlive),
		"successor":  EncodeFrame(FrameAlive, []byte("00112233445566778899aabbccddeeff")),
		"erase":      EncodeFrame(FrameErase, numbers(9)),
		"erased":     EncodeErased(9, ""),
		"not erased": EncodeErased(9, "why"),
		"welcome":    EncodeFrame(FrameWelcome, []byte(`{"server":"00112233445566778899aabbccddeeff"}`)),
		"committed":  EncodeCommitted(7, []Entry{{Index: 9, Term: 2, Data: []byte("abc")}, {Index: 11, Term: 3}}),
		"proposed":   EncodeProposed(7, 9, 2),
		"refused":    EncodeRefused(7, RefusedUnknown),
		"replaced":   EncodeRefused(7, RefusedReplaced),
		"leadership": EncodeFrame(FrameLeadership, []byte(`{"leading":true,"leader":"ab","term":2}`)),
		"ask":        EncodeFrame(FrameAsk, numbers(5), []byte(`{"do":"mark","server":"ab","index":9,"term":2}`)),
		"fatal":      EncodeFrame(FrameFatal, []byte(`{"code":"quarantine","message":"why"}`)),
	}
	for name, frame := range made {
		if got := hex.EncodeToString(frame); got != want[name] {
			t.Errorf("%s: got %s, want %s", name, got, want[name])
		}
	}
	if len(want) != len(made) {
		t.Errorf("%d vectors for %d frames", len(want), len(made))
	}
	kind, payload, err := ReadFrame(bytes.NewReader(made["hello"]))
	applied, decoded := DecodeHello(payload)
	if err != nil || decoded != nil || kind != FrameHello ||
		applied != (Applied{258, 3, "00112233445566778899aabbccddeeff"}) {
		t.Errorf("the hello decoded as %v %v %v %v", kind, applied, err, decoded)
	}
	for _, bad := range [][]byte{{0, 0, 0, 0, 1}, {255, 0, 0, 0, 1}, {0, 0, 0, 9, 1, 2}} {
		if _, _, err := ReadFrame(bytes.NewReader(bad)); err == nil {
			t.Errorf("%v was accepted as a frame", bad)
		}
	}
}

// tornStore drops every write from the failing one on, as a crash would.
type tornStore struct {
	raft.StableStore
	writesLeft int
}

func (s *tornStore) Set(key, value []byte) error {
	if s.writesLeft--; s.writesLeft < 0 {
		return errors.New("crashed")
	}
	return s.StableStore.Set(key, value)
}

func (s *tornStore) SetUint64(key []byte, value uint64) error {
	if s.writesLeft--; s.writesLeft < 0 {
		return errors.New("crashed")
	}
	return s.StableStore.SetUint64(key, value)
}

func TestVoteIsOneWrite(t *testing.T) {
	for crashAt := range 4 {
		disk := raft.NewInmemStore()
		torn := &tornStore{StableStore: disk, writesLeft: crashAt}
		store := &voteStore{StableStore: torn}
		for term := uint64(5); term < 8; term++ {
			_ = store.SetUint64(keyVoteTerm, term)
			_ = store.Set(keyVoteCand, []byte{byte(term)})
		}
		after := &voteStore{StableStore: disk}
		term, err := after.GetUint64(keyVoteTerm)
		if err != nil && crashAt > 0 {
			t.Fatal(err)
		}
		candidate, _ := after.Get(keyVoteCand)
		if crashAt == 0 && term == 0 {
			continue
		}
		if want := uint64(4 + min(crashAt, 3)); term != want || !bytes.Equal(candidate, []byte{byte(want)}) {
			t.Errorf("after a crash at write %d: term %d, candidate %v", crashAt, term, candidate)
		}
	}
}

func TestHellosAreChecked(t *testing.T) {
	own := Hello{Wire: Wire, Fleet: "f", Epoch: "e", From: randomID()}
	good := Hello{Wire: Wire, Fleet: "f", Epoch: "e", From: randomID(), To: own.From, Pool: PoolBulk}
	for name, change := range map[string]func(*Hello){
		"":      func(*Hello) {},
		"wire":  func(hello *Hello) { hello.Wire++ },
		"fleet": func(hello *Hello) { hello.Fleet = "other" },
		"epoch": func(hello *Hello) { hello.Epoch = "other" },
		"to":    func(hello *Hello) { hello.To = randomID() },
		"from":  func(hello *Hello) { hello.From = own.From },
		"pool":  func(hello *Hello) { hello.Pool = "x" },
	} {
		hello := good
		change(&hello)
		dialer, listener := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			hello, err := readHello(listener)
			if err == nil {
				err = hello.check(own)
			}
			if err != nil {
				err = errors.Join(err, writeJSON(listener, helloReply{Refused: err.Error()}))
			} else {
				err = own.accept(listener, "a", 7)
			}
			answered <- err
		}()
		reply, opened := hello.open(dialer)
		taken := <-answered
		if opened == nil && reply.Last != 7 {
			t.Errorf("the log of the other side ends at %d", reply.Last)
		}
		if refused := opened != nil && taken != nil; refused != (name != "") {
			t.Errorf("%q: dialer %v, listener %v", name, opened, taken)
		}
		dialer.Close()
		listener.Close()
	}
}

func TestDialerChecksTheReply(t *testing.T) {
	hello := Hello{Wire: Wire, Fleet: "f", Epoch: "e", From: randomID(), To: randomID(), Pool: PoolBulk}
	for code, change := range map[string]func(*Hello){
		"":             func(*Hello) {},
		"other_wire":   func(theirs *Hello) { theirs.Wire++ },
		"other_fleet":  func(theirs *Hello) { theirs.Fleet = "other" },
		"other_epoch":  func(theirs *Hello) { theirs.Epoch = "other" },
		"other_server": func(theirs *Hello) { theirs.From = randomID() },
		"bad_hello":    func(theirs *Hello) { theirs.From = hello.From },
	} {
		theirs := Hello{Wire: Wire, Fleet: "f", Epoch: "e", From: hello.To}
		change(&theirs)
		dialer, listener := net.Pipe()
		go func() {
			// A listener that accepts every hello.
			var received Hello
			_ = readJSON(listener, &received, maxHelloBytes)
			_ = theirs.accept(listener, "a", 1)
		}()
		_, err := hello.open(dialer)
		var refused *RefusedError
		if code == "" && err != nil ||
			code != "" && (!errors.As(err, &refused) || !strings.HasPrefix(refused.Reason, code+": ")) {
			t.Errorf("%q: %v", code, err)
		}
		dialer.Close()
		listener.Close()
	}
}

func TestOnlyCompleteCopiesAreAccepted(t *testing.T) {
	folder := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	stream := func(fleet string, change func([]byte) []byte) []byte {
		path := filepath.Join(folder, "copy-1.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		source, err := openCopy(path, fleet, "e", func() {})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := io.ReadAll(source)
		if err != nil || int64(len(sent)) != source.size {
			t.Fatal(len(sent), source.size, err)
		}
		source.Close()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Error("the sent copy was not removed")
		}
		return change(sent)
	}
	for name, row := range map[string]struct {
		fleet  string
		change func([]byte) []byte
		good   bool
	}{
		"whole":          {"f", func(sent []byte) []byte { return sent }, true},
		"another fleet":  {"g", func(sent []byte) []byte { return sent }, false},
		"a changed byte": {"f", func(sent []byte) []byte { sent[len(sent)-9] ^= 1; return sent }, false},
		"cut":            {"f", func(sent []byte) []byte { return sent[:len(sent)-1] }, false},
		"only a header":  {"f", func(sent []byte) []byte { return sent[:40] }, false},
		"more":           {"f", func(sent []byte) []byte { return append(sent, 'x') }, false},
		"no header":      {"f", func(sent []byte) []byte { return content }, false},
		"nothing":        {"f", func([]byte) []byte { return nil }, false},
	} {
		store := &snapshots{
			folder:    folder,
			fleet:     "f",
			epoch:     "e",
			log:       raft.NewInmemStore(),
			onFailure: func(err error) { t.Error(err) },
		}
		target, err := store.Create(1, 5, 1, raft.Configuration{Servers: []raft.Server{{ID: "a"}}}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := stream(row.fleet, row.change)
		for from := 0; from < len(sent) && err == nil; from += 7001 {
			_, err = target.Write(sent[from:min(from+7001, len(sent))])
		}
		if err != nil {
			_ = target.Cancel()
		} else {
			err = target.Close()
		}
		if (err == nil) != row.good {
			t.Errorf("%s: %v", name, err)
		}
		left, _ := filepath.Glob(filepath.Join(folder, "*"))
		if (len(left) > 0) != row.good {
			t.Errorf("%s: files left: %v", name, left)
		}
		if row.good {
			waiting, _ := store.pending()
			received := filepath.Join(folder, waiting.File)
			if got, _ := os.ReadFile(received); !bytes.Equal(got, content) {
				t.Error("the received copy differs from the sent one")
			}
			if named, _ := store.newest(); named != nil {
				t.Errorf("the record names entry %d, which no store holds", named.Index)
			}
			// The next start removes what an interrupted transfer left and keeps the file that is pending.
			stray := filepath.Join(folder, "received-9-9.db")
			if err := os.WriteFile(stray, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := store.removeStale(); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(folder, "received-*")); len(left) != 1 || left[0] != received {
				t.Errorf("removeStale left %v", left)
			}
			_ = os.Remove(received)
			_ = os.Remove(store.pendingPath())
		}
	}
}

func TestAcknowledgedEntriesCountOnceCommitted(t *testing.T) {
	table := &acks{byServer: map[string]*ack{}}
	table.note("a", 3, 10, 5)
	if durable := table.durableIndex("a", 3, 8); durable != 8 {
		t.Errorf("10 acknowledged, 8 committed: %d", durable)
	}
	// A later leader may have replaced 9 and 10 since.
	if durable := table.durableIndex("a", 5, 20); durable != 8 {
		t.Errorf("in a later term: %d", durable)
	}
	table.note("a", 7, 25, 22)
	if durable := table.durableIndex("a", 7, 24); durable != 24 {
		t.Errorf("leading again: %d", durable)
	}
	if durable := table.durableIndex("b", 7, 24); durable != 0 {
		t.Errorf("an unknown server: %d", durable)
	}
}

func TestOnlyDivergentLogsAreRemoved(t *testing.T) {
	for term, left := range map[uint64]uint64{2: 20, 3: 0} {
		log := raft.NewInmemStore()
		for index := uint64(2); index <= 20; index++ {
			if err := log.StoreLog(&raft.Log{Index: index, Term: 2}); err != nil {
				t.Fatal(err)
			}
		}
		for _, snapshot := range []*record{nil, {Index: 1, Term: term}, {Index: 25, Term: term}} {
			if err := dropDivergentLog(snapshot, log); err != nil {
				t.Fatal(err)
			}
			if last, _ := log.LastIndex(); last != 20 {
				t.Fatalf("a log without the snapshot's entry ends at %d", last)
			}
		}
		if err := dropDivergentLog(&record{Index: 10, Term: term}, log); err != nil {
			t.Fatal(err)
		}
		if last, _ := log.LastIndex(); last != left {
			t.Errorf("term %d: the log ends at %d", term, last)
		}
	}
}
