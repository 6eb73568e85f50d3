// What a member measures of itself: how long its log takes to write, how often terms change, and who refuses it.

package raftlog

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	meterSamples    = 512
	electionsWindow = 10 * time.Minute
	maxElections    = 4096
	maxRefusals     = 64
)

// meter keeps the last durations.
type meter struct {
	mu      sync.Mutex
	samples [meterSamples]time.Duration
	count   int
}

func (meter *meter) add(took time.Duration) {
	meter.mu.Lock()
	defer meter.mu.Unlock()
	meter.samples[meter.count%meterSamples] = took
	meter.count++
}

// p99 is in milliseconds, 0 without a sample.
func (meter *meter) p99() float64 {
	meter.mu.Lock()
	kept := slices.Clone(meter.samples[:min(meter.count, meterSamples)])
	meter.mu.Unlock()
	if len(kept) == 0 {
		return 0
	}
	slices.Sort(kept)
	return float64(kept[(len(kept)-1)*99/100].Microseconds()) / 1000
}

// recent counts moments of the last ten minutes.
type recent struct {
	mu      sync.Mutex
	moments []time.Time
}

func (recent *recent) add(moment time.Time) {
	recent.mu.Lock()
	defer recent.mu.Unlock()
	recent.moments = append(recent.kept(moment), moment)
	if over := len(recent.moments) - maxElections; over > 0 {
		recent.moments = slices.Delete(recent.moments, 0, over)
	}
}

func (recent *recent) count(now time.Time) int {
	recent.mu.Lock()
	defer recent.mu.Unlock()
	recent.moments = recent.kept(now)
	return len(recent.moments)
}

func (recent *recent) kept(now time.Time) []time.Time {
	return slices.DeleteFunc(recent.moments, func(moment time.Time) bool { return now.Sub(moment) > electionsWindow })
}

// Refusal is the last answer of a server that did not take our connection. Reason begins with a code.
type Refusal struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
	AtMs   int64  `json:"atMs"`
}

// refusals holds one for each server, until that server takes a connection.
type refusals struct {
	mu       sync.Mutex
	byServer map[string]Refusal
}

func (all *refusals) note(server string, err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if err == nil {
		delete(all.byServer, server)
		return
	}
	var refused *RefusedError
	if errors.As(err, &refused) && (len(all.byServer) < maxRefusals || all.byServer[server] != Refusal{}) {
		all.byServer[server] = Refusal{server, refused.Reason, time.Now().UnixMilli()}
	}
}

// list is ordered by server.
func (all *refusals) list() []Refusal {
	all.mu.Lock()
	defer all.mu.Unlock()
	list := make([]Refusal, 0, len(all.byServer))
	for _, refused := range all.byServer {
		list = append(list, refused)
	}
	slices.SortFunc(list, func(a, b Refusal) int { return strings.Compare(a.Server, b.Server) })
	return list
}
