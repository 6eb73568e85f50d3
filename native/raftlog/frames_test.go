// The bytes of raft.sock, which TypeScript's tests read and write too, and the small parts: the vote, the hello, the link's bounds.

package raftlog

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
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
		"admit": func(hello *Hello) { hello.From = "0123456789abcdef0123456789abcdef" },
	} {
		hello := good
		change(&hello)
		one, other := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			err := own.answer(other, func(from Hello, _ net.Conn) error {
				if from.From == "0123456789abcdef0123456789abcdef" {
					return errors.New("not a member")
				}
				return nil
			})
			answered <- err
		}()
		opened, taken := hello.open(one), <-answered
		if refused := opened != nil && taken != nil; refused != (name != "") {
			t.Errorf("%q: dialler %v, listener %v", name, opened, taken)
		}
		one.Close()
		other.Close()
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
