// The bytes of raft.sock, which TypeScript's tests read and write too, and the small parts: the vote, the hello, the link's bounds.

package raftlog

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// golden reads test vectors that both sides share: name of a frame → hex.
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

func TestFramesHaveTheirBytes(t *testing.T) {
	want := golden(t)
	made := map[string][]byte{
		"hello":      EncodeHello(Applied{Index: 258, Term: 3, Server: "00112233445566778899aabbccddeeff"}),
		"propose":    EncodeFrame(FramePropose, numbers(7), []byte("entry")),
		"barrier":    EncodeFrame(FramePropose, numbers(8)),
		"applied":    EncodeFrame(FrameApplied, numbers(1<<40)),
		"answer":     EncodeFrame(FrameAnswer, numbers(5), []byte(`{"ok":{"applied":9}}`)),
		"welcome":    EncodeFrame(FrameWelcome, []byte(`{"server":"00112233445566778899aabbccddeeff"}`)),
		"committed":  EncodeCommitted([]Entry{{Index: 9, Term: 2, Data: []byte("abc")}, {Index: 11, Term: 3}}),
		"proposed":   EncodeProposed(7, 9, 2),
		"refused":    EncodeRefused(7, RefusedUnknown),
		"replaced":   EncodeRefused(7, RefusedReplaced),
		"leadership": EncodeFrame(FrameLeadership, []byte(`{"leading":true,"leader":"ab","term":2}`)),
		"ask":        EncodeFrame(FrameAsk, numbers(5), []byte(`{"do":"mark","server":"ab","index":9,"term":2}`)),
		"fatal":      EncodeFrame(FrameFatal, []byte(`{"code":"quarantine","message":"why"}`)),
	}
	for name, frame := range made {
		if got := hex.EncodeToString(frame); got != want[name] {
			t.Errorf("%s: %s, and the vectors say %s", name, got, want[name])
		}
	}
	if len(want) != len(made) {
		t.Errorf("%d vectors for %d frames", len(want), len(made))
	}
	kind, payload, err := ReadFrame(bytes.NewReader(made["hello"]))
	applied, decoded := DecodeHello(payload)
	if err != nil || decoded != nil || kind != FrameHello || applied != (Applied{258, 3, "00112233445566778899aabbccddeeff"}) {
		t.Errorf("the hello came back as %v %v %v %v", kind, applied, err, decoded)
	}
	for _, bad := range [][]byte{{0, 0, 0, 0, 1}, {255, 0, 0, 0, 1}, {0, 0, 0, 9, 1, 2}} {
		if _, _, err := ReadFrame(bytes.NewReader(bad)); err == nil {
			t.Errorf("%v was taken as a frame", bad)
		}
	}
}

// tornStore loses everything from the failing write on, as a crash would.
type tornStore struct {
	raft.StableStore
	writesLeft int
}

func (store *tornStore) Set(key, value []byte) error {
	if store.writesLeft--; store.writesLeft < 0 {
		return errors.New("crashed")
	}
	return store.StableStore.Set(key, value)
}

func (store *tornStore) SetUint64(key []byte, value uint64) error {
	if store.writesLeft--; store.writesLeft < 0 {
		return errors.New("crashed")
	}
	return store.StableStore.SetUint64(key, value)
}

func TestAVoteIsOneWrite(t *testing.T) {
	for crashAt := range 4 {
		disk := raft.NewInmemStore()
		torn := &tornStore{StableStore: disk, writesLeft: crashAt}
		store := &votes{StableStore: torn}
		for term := uint64(5); term < 8; term++ {
			_ = store.SetUint64(keyVoteTerm, term)
			_ = store.Set(keyVoteCand, []byte{byte(term)})
		}
		after := &votes{StableStore: disk}
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
		one, other := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			_, err := own.read(other)
			if err != nil {
				err = errors.Join(err, writeJSON(other, helloReply{Refused: err.Error()}))
			} else {
				err = own.accept(other, "a", 7)
			}
			answered <- err
		}()
		reply, opened := hello.open(one)
		taken := <-answered
		if opened == nil && reply.Last != 7 {
			t.Errorf("the log of the other side ends at %d", reply.Last)
		}
		if refused := opened != nil && taken != nil; refused != (name != "") {
			t.Errorf("%q: dialler %v, listener %v", name, opened, taken)
		}
		one.Close()
		other.Close()
	}
}

func TestADiallerChecksWhoTookIt(t *testing.T) {
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
		one, other := net.Pipe()
		go func() {
			// One that takes whatever comes.
			var said Hello
			_ = readJSON(other, &said, maxHelloBytes)
			_ = theirs.accept(other, "a", 1)
		}()
		_, err := hello.open(one)
		var refused *RefusedError
		if code == "" && err != nil || code != "" && (!errors.As(err, &refused) || !strings.HasPrefix(refused.Reason, code+": ")) {
			t.Errorf("%q: %v", code, err)
		}
		one.Close()
		other.Close()
	}
}

func TestACopyIsTakenOnlyWhole(t *testing.T) {
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
			t.Error("the copy that was sent stays")
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
		store := &snapshots{folder: folder, fleet: "f", epoch: "e", log: raft.NewInmemStore(), failed: func(err error) { t.Error(err) }}
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
			t.Errorf("%s leaves %v", name, left)
		}
		if row.good {
			found, _ := store.newest()
			if got, _ := os.ReadFile(found.File); !bytes.Equal(got, content) {
				t.Error("what arrived is not what was sent")
			}
			// What an interrupted transfer left goes at the next start; what the record names stays.
			stray := filepath.Join(folder, "received-9-9.db")
			if err := os.WriteFile(stray, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := store.sweep(); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(folder, "received-*")); len(left) != 1 || left[0] != found.File {
				t.Errorf("a sweep leaves %v", left)
			}
			_ = os.Remove(found.File)
			_ = os.Remove(store.path())
		}
	}
}

func TestAnAcknowledgementCountsOnceItIsCommitted(t *testing.T) {
	all := &acks{byServer: map[string]*ack{}}
	all.note("a", 3, 10, 5)
	if kept := all.kept("a", 3, 8); kept != 8 {
		t.Errorf("10 acknowledged, 8 committed: %d", kept)
	}
	// Another leader may have replaced 9 and 10 since.
	if kept := all.kept("a", 5, 20); kept != 8 {
		t.Errorf("in a later term: %d", kept)
	}
	all.note("a", 7, 25, 22)
	if kept := all.kept("a", 7, 24); kept != 24 {
		t.Errorf("leading again: %d", kept)
	}
	if kept := all.kept("b", 7, 24); kept != 0 {
		t.Errorf("one never heard of: %d", kept)
	}
}

func TestTheLinkWaitsForTheStore(t *testing.T) {
	one, other := net.Pipe()
	go func() {
		for {
			if _, _, err := ReadFrame(other); err != nil {
				return
			}
		}
	}()
	to := newLink(one, 0)
	batch := func(from uint64) []Entry {
		entries := make([]Entry, maxUnappliedEntries)
		for at := range entries {
			entries[at] = Entry{Index: from + uint64(at), Term: 1}
		}
		return entries
	}
	if err := to.Apply(batch(1)); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() { second <- to.Apply(batch(1 + maxUnappliedEntries)) }()
	select {
	case <-second:
		t.Fatal("a batch went out while the one before was not applied")
	case <-time.After(50 * time.Millisecond):
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := to.WaitApplied(short, maxUnappliedEntries); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ended with %v", err)
	}
	to.acknowledged(maxUnappliedEntries)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	third := make(chan error, 1)
	go func() { third <- to.Apply(batch(1 + 2*maxUnappliedEntries)) }()
	to.close()
	if err := <-third; err == nil {
		t.Error("a closed link took a batch")
	}
}

func TestOnlyALogOfAnotherHistoryIsRemoved(t *testing.T) {
	for term, left := range map[uint64]uint64{2: 20, 3: 0} {
		log := raft.NewInmemStore()
		for index := uint64(2); index <= 20; index++ {
			if err := log.StoreLog(&raft.Log{Index: index, Term: 2}); err != nil {
				t.Fatal(err)
			}
		}
		for _, snapshot := range []*record{nil, {Index: 1, Term: term}, {Index: 25, Term: term}} {
			if err := dropOtherHistory(snapshot, log); err != nil {
				t.Fatal(err)
			}
			if last, _ := log.LastIndex(); last != 20 {
				t.Fatalf("a log without the snapshot's entry ends at %d", last)
			}
		}
		if err := dropOtherHistory(&record{Index: 10, Term: term}, log); err != nil {
			t.Fatal(err)
		}
		if last, _ := log.LastIndex(); last != left {
			t.Errorf("term %d: the log ends at %d", term, last)
		}
	}
}
