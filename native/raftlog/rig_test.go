// What the tests of members share: a store in memory, and fleets in one process over loopback TCP.

package raftlog_test

import (
	"context"
	"encoding/json"
	"errors"
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

// machine is a store in memory; what it "has on disk" survives a restart of its member.
type machine struct {
	mu       sync.Mutex
	applied  raftlog.Applied
	values   []string
	doubled  int
	installs int
	behind   time.Duration
	// crash makes the next install fail, as a crash before it would.
	crash   bool
	changed chan struct{}
}

func newMachine() *machine { return &machine{changed: make(chan struct{})} }

func (store *machine) Apply(batch []raftlog.Entry) error {
	store.mu.Lock()
	defer store.mu.Unlock()
	for _, entry := range batch {
		if entry.Index <= store.applied.Index {
			store.doubled++
			continue
		}
		store.applied.Index, store.applied.Term = entry.Index, entry.Term
		if len(entry.Data) > 0 {
			store.values = append(store.values, string(entry.Data))
		}
	}
	close(store.changed)
	store.changed = make(chan struct{})
	return nil
}

func (store *machine) AppliedIndex() uint64 {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.applied.Index
}

func (store *machine) Behind() time.Duration {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.behind
}

func (store *machine) WaitApplied(ctx context.Context, index uint64) error {
	for {
		store.mu.Lock()
		at, changed := store.applied.Index, store.changed
		store.mu.Unlock()
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

func (store *machine) Mark(_ context.Context, server string, index, term uint64) (raftlog.Marked, error) {
	store.mu.Lock()
	defer store.mu.Unlock()
	if index > store.applied.Index {
		store.applied.Index, store.applied.Term = index, term
	}
	store.applied.Server = server
	return raftlog.Marked{Applied: store.applied.Index, Seq: uint64(len(store.values))}, nil
}

type copied struct {
	Applied raftlog.Applied
	Values  []string
}

func (store *machine) Copy(_ context.Context, path string) error {
	store.mu.Lock()
	defer store.mu.Unlock()
	text, err := json.Marshal(copied{store.applied, store.values})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (store *machine) Install(_ context.Context, server, path string, index, _ uint64) (raftlog.Applied, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return raftlog.Applied{}, err
	}
	var found copied
	if err := json.Unmarshal(text, &found); err != nil || found.Applied.Index < index {
		return raftlog.Applied{}, fmt.Errorf("bad copy: %v", err)
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if store.crash {
		return raftlog.Applied{}, errors.New("crashed before the install")
	}
	store.applied, store.values = found.Applied, found.Values
	store.applied.Server = server
	store.installs++
	return store.applied, nil
}

func (store *machine) seen() []string {
	store.mu.Lock()
	defer store.mu.Unlock()
	return append([]string(nil), store.values...)
}

type member struct {
	id      string
	folder  string
	store   *machine
	network *loopback.Network
	node    *raftlog.Node
	fatal   chan error
	// doomed members may fail.
	doomed bool
}

type fleet struct {
	t       *testing.T
	members []*member
	keep    raftlog.Keep
}

func newFleet(t *testing.T, count int, keep raftlog.Keep) *fleet {
	t.Helper()
	if keep.After == 0 {
		keep.After = time.Millisecond
	}
	all := &fleet{t: t, keep: keep}
	for at := range count {
		folder := filepath.Join(t.TempDir(), "raft")
		id, err := raftlog.ServerID(folder)
		must(t, err)
		one := &member{id: id, folder: folder, store: newMachine(), fatal: make(chan error, 8)}
		all.members = append(all.members, one)
		all.start(one, at == 0)
	}
	t.Cleanup(func() {
		for _, one := range all.members {
			all.stop(one)
		}
	})
	first := all.members[0]
	until(t, "the first member to lead", func() bool { return first.node.State().Leading })
	for _, one := range all.members[1:] {
		membership, err := first.node.Membership()
		must(t, err)
		must(t, first.node.AddNonvoter(one.id, membership.Index))
		must(t, first.node.Promote(one.id, 0))
	}
	// A server that does not know yet that another one votes refuses it its vote.
	until(t, "all to know all voters", func() bool {
		for _, one := range all.members {
			voters := 0
			membership, err := one.node.Membership()
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
	return all
}

func (all *fleet) start(one *member, bootstrap bool) {
	all.t.Helper()
	network, err := loopback.Listen(0)
	must(all.t, err)
	one.network = network
	for _, other := range all.members {
		if other == one {
			continue
		}
		network.Peer(other.id, other.network.Address())
		other.network.Peer(one.id, network.Address())
	}
	profile, err := raftlog.ProfileOf("lan")
	must(all.t, err)
	one.node, err = raftlog.Start(context.Background(), raftlog.Options{Folder: one.folder, Fleet: "f", Epoch: "e", Profile: profile, Keep: all.keep,
		Network: network, Admit: network.Admit, Machine: one.store, Applied: one.store.applied, Bootstrap: bootstrap, Log: testLog(one.id),
		OnFatal: func(err error) {
			if !one.doomed {
				all.t.Errorf("%s failed: %v", one.id, err)
			}
			one.fatal <- err
		}})
	must(all.t, err)
}

func (all *fleet) stop(one *member) {
	if one.node != nil {
		if err := one.node.Close(); err != nil && !one.doomed {
			all.t.Errorf("closing %s: %v", one.id, err)
		}
		one.node = nil
	}
}

func (all *fleet) leader(besides ...*member) *member {
	all.t.Helper()
	var found *member
	until(all.t, "a leader", func() bool {
		for _, one := range all.members {
			skip := one.node == nil
			for _, other := range besides {
				skip = skip || other == one
			}
			if !skip && one.node.State().Leading {
				found = one
				return true
			}
		}
		return false
	})
	return found
}

// put proposes until an attempt is acknowledged; attempts carry their number, so that each is a value of its own.
func (all *fleet) put(from int, count int, besides ...*member) []string {
	all.t.Helper()
	var acknowledged []string
	deadline := time.Now().Add(15 * time.Second)
	for at := from; at < from+count; at++ {
		for attempt := 0; ; attempt++ {
			if time.Now().After(deadline) {
				all.t.Fatalf("no write was acknowledged in time at %d", at)
			}
			value := fmt.Sprintf("%d.%d", at, attempt)
			if _, _, err := all.leader(besides...).node.Propose([]byte(value)).Wait(); err == nil {
				acknowledged = append(acknowledged, value)
				break
			}
		}
	}
	return acknowledged
}

// settled waits until all running members hold the same values, each acknowledged one exactly once.
func (all *fleet) settled(acknowledged []string) {
	all.t.Helper()
	leader := all.leader()
	_, _, err := leader.node.Propose(nil).Wait()
	must(all.t, err)
	want := leader.store.seen()
	for _, one := range all.members {
		until(all.t, "equal values on "+one.id, func() bool { return fmt.Sprint(one.store.seen()) == fmt.Sprint(want) })
		if one.store.doubled > 0 {
			all.t.Errorf("%d entries came twice to %s", one.store.doubled, one.id)
		}
	}
	count := map[string]int{}
	for _, value := range want {
		count[value]++
	}
	for _, value := range acknowledged {
		if count[value] != 1 {
			all.t.Errorf("acknowledged %s is there %d times", value, count[value])
		}
	}
}

func (all *fleet) cut(one *member, rule loopback.Rule) {
	for _, other := range all.members {
		if other != one {
			one.network.Set(other.id, rule)
			other.network.Set(one.id, loopback.Rule{CutIn: rule.CutOut, CutOut: rule.CutIn})
		}
	}
}

// testLog shows what members say when CAIRN_TEST_LOG is set.
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

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 15 s for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
