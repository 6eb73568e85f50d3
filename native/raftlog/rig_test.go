// Shared by the tests: a store in memory, and fleets in one process over loopback TCP.

package raftlog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
	"github.com/hashicorp/go-hclog"
)

// memoryStore is a store in memory; what it "has on disk" survives a restart of its member.
type memoryStore struct {
	mu       sync.Mutex
	position raftlog.Applied
	values   []string
	// previous is the entry that the latest batch follows.
	previous uint64
	doubled  int
	gaps     int
	installs int
	lag      time.Duration
	// silence and successor are what MayLead returns.
	silence   time.Duration
	successor string
	// refusal is the outcome of installs. ErrStoreGone is what an end of the process leaves; with afterwards the copy is
	// the store by then.
	refusal    error
	afterwards bool
	// attempts counts installs that were asked for, done or not.
	attempts int
	changed  chan struct{}
}

func newMemoryStore() *memoryStore { return &memoryStore{changed: make(chan struct{})} }

func (s *memoryStore) Apply(previous uint64, batch []raftlog.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.previous = previous
	if previous > s.position.Index {
		s.gaps++
	}
	for _, entry := range batch {
		if entry.Index <= s.position.Index {
			s.doubled++
			continue
		}
		s.position.Index, s.position.Term = entry.Index, entry.Term
		if len(entry.Data) > 0 {
			s.values = append(s.values, string(entry.Data))
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (s *memoryStore) AppliedIndex() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position.Index
}

func (s *memoryStore) ApplyLag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lag
}

func (s *memoryStore) MayLead() (time.Duration, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silence, s.successor
}

func (s *memoryStore) WaitApplied(ctx context.Context, index uint64) error {
	for {
		s.mu.Lock()
		at, changed := s.position.Index, s.changed
		s.mu.Unlock()
		if at >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *memoryStore) Mark(_ context.Context, server string, index, term uint64) (raftlog.Marked, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index > s.position.Index {
		s.position.Index, s.position.Term = index, term
	}
	s.position.Server = server
	return raftlog.Marked{Applied: s.position.Index, Seq: uint64(len(s.values))}, nil
}

type copied struct {
	Applied raftlog.Applied
	Values  []string
}

func (s *memoryStore) Copy(_ context.Context, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := json.Marshal(copied{s.position, s.values})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (s *memoryStore) Install(_ context.Context, server, path string, index, _ uint64) (raftlog.Applied, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return raftlog.Applied{}, err
	}
	var found copied
	if err := json.Unmarshal(text, &found); err != nil || found.Applied.Index < index {
		return raftlog.Applied{}, fmt.Errorf("bad copy: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.refusal != nil && !s.afterwards {
		return raftlog.Applied{}, s.refusal
	}
	s.position, s.values = found.Applied, found.Values
	s.position.Server = server
	s.installs++
	return s.position, s.refusal
}

func (s *memoryStore) applied() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

type member struct {
	id      string
	folder  string
	store   *memoryStore
	network *loopback.Network
	held    *holdingNetwork
	node    *raftlog.Node
	fatal   chan error
	// wrap and voter are its network and its Options.Voter from the next start on, nil for none.
	wrap  func(raftlog.Network) raftlog.Network
	voter func(server string) bool
	// doomed members may fail.
	doomed bool
}

type fleet struct {
	t       *testing.T
	members []*member
	keep    raftlog.Retention
}

func newFleet(t *testing.T, count int, keep raftlog.Retention) *fleet {
	t.Helper()
	if keep.AfterCopy == 0 {
		keep.AfterCopy = time.Millisecond
	}
	f := &fleet{t: t, keep: keep}
	for at := range count {
		folder := filepath.Join(t.TempDir(), "raft")
		id, err := raftlog.ServerID(folder)
		must(t, err)
		m := &member{id: id, folder: folder, store: newMemoryStore(), fatal: make(chan error, 8)}
		f.members = append(f.members, m)
		f.start(m, at == 0)
	}
	t.Cleanup(func() {
		for _, m := range f.members {
			f.stop(m)
		}
	})
	first := f.members[0]
	until(t, "the first member to lead", func() bool { return first.node.State().Leading })
	for _, m := range f.members[1:] {
		membership, err := first.node.Membership()
		must(t, err)
		must(t, first.node.AddNonvoter(m.id, membership.Index))
		must(t, first.node.Promote(m.id, 0))
	}
	// A server that does not know yet that a candidate is a voter refuses it its vote.
	until(t, "all members to know all voters", func() bool {
		for _, m := range f.members {
			voters := 0
			membership, err := m.node.Membership()
			for _, member := range membership.Members {
				if member.Voter {
					voters++
				}
			}
			if err != nil || voters != count {
				return false
			}
		}
		return true
	})
	return f
}

func (f *fleet) start(m *member, bootstrap bool) {
	f.t.Helper()
	network, err := loopback.Listen(0)
	must(f.t, err)
	m.network, m.held = network, &holdingNetwork{Network: network}
	for _, other := range f.members {
		if other == m {
			continue
		}
		network.Peer(other.id, other.network.Address())
		other.network.Peer(m.id, network.Address())
	}
	if m.wrap != nil {
		m.held.Network = m.wrap(network)
	}
	profile, err := raftlog.ProfileOf("lan")
	must(f.t, err)
	m.node, err = raftlog.Start(context.Background(), raftlog.Options{
		Folder:       m.folder,
		Fleet:        "f",
		Epoch:        "e",
		Profile:      profile,
		Retention:    f.keep,
		Network:      m.held,
		Admit:        network.Admit,
		Voter:        m.voter,
		StateMachine: m.store,
		Applied:      m.store.position,
		Bootstrap:    bootstrap,
		Log:          testLog(m.id),
		OnFatal: func(err error) {
			if !m.doomed {
				f.t.Errorf("%s failed: %v", m.id, err)
			}
			m.fatal <- err
		},
	})
	must(f.t, err)
}

func (f *fleet) stop(m *member) {
	if m.node != nil {
		if err := m.node.Close(); err != nil && !m.doomed {
			f.t.Errorf("closing %s: %v", m.id, err)
		}
		m.node = nil
	}
}

func (f *fleet) leader(except ...*member) *member {
	f.t.Helper()
	var found *member
	until(f.t, "a leader", func() bool {
		for _, m := range f.members {
			skip := m.node == nil
			for _, other := range except {
				skip = skip || other == m
			}
			if !skip && m.node.State().Leading {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// put proposes count values, each until an attempt is acknowledged. A value contains the attempt's number, so all
// differ.
func (f *fleet) put(from int, count int, except ...*member) []string {
	f.t.Helper()
	var acknowledged []string
	deadline := time.Now().Add(15 * time.Second)
	for at := from; at < from+count; at++ {
		for attempt := 0; ; attempt++ {
			if time.Now().After(deadline) {
				f.t.Fatalf("no write was acknowledged in time at %d", at)
			}
			value := fmt.Sprintf("%d.%d", at, attempt)
			if _, _, err := f.leader(except...).node.Propose([]byte(value)).Wait(); err == nil {
				acknowledged = append(acknowledged, value)
				break
			}
		}
	}
	return acknowledged
}

// checkSettled waits until all running members hold the same values, each acknowledged one exactly once.
func (f *fleet) checkSettled(acknowledged []string) {
	f.t.Helper()
	leader := f.leader()
	_, _, err := leader.node.Propose(nil).Wait()
	must(f.t, err)
	want := leader.store.applied()
	for _, m := range f.members {
		until(f.t, "equal values on "+m.id, func() bool { return fmt.Sprint(m.store.applied()) == fmt.Sprint(want) })
		if m.store.doubled > 0 {
			f.t.Errorf("%d entries were applied twice on %s", m.store.doubled, m.id)
		}
		if m.store.gaps > 0 {
			f.t.Errorf("%d batches on %s came without the entries before them", m.store.gaps, m.id)
		}
	}
	count := map[string]int{}
	for _, value := range want {
		count[value]++
	}
	for _, value := range acknowledged {
		if count[value] != 1 {
			f.t.Errorf("acknowledged value %s exists %d times", value, count[value])
		}
	}
}

func (f *fleet) cut(m *member, rule loopback.Rule) {
	for _, other := range f.members {
		if other != m {
			m.network.Set(other.id, rule)
			other.network.Set(m.id, loopback.Rule{CutIn: rule.CutOut, CutOut: rule.CutIn})
		}
	}
}

// testLog returns a logger for a member when CAIRN_TEST_LOG is set.
func testLog(name string) hclog.Logger {
	if os.Getenv("CAIRN_TEST_LOG") == "" {
		return nil
	}
	return hclog.New(&hclog.LoggerOptions{Name: name[:4], Level: hclog.Debug})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 15 s for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
