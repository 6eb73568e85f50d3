// Measurements of this member: log write latency, elections, and connections that other servers refused.

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

// latencyMeter keeps the last durations.
type latencyMeter struct {
	mu      sync.Mutex
	samples [meterSamples]time.Duration
	count   int
}

func (m *latencyMeter) add(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples[m.count%meterSamples] = took
	m.count++
}

// p99 returns the 99th percentile in milliseconds, 0 without samples, and how many samples it covers.
func (m *latencyMeter) p99() (float64, int) {
	m.mu.Lock()
	kept := slices.Clone(m.samples[:min(m.count, meterSamples)])
	m.mu.Unlock()
	if len(kept) == 0 {
		return 0, 0
	}
	slices.Sort(kept)
	return float64(kept[(len(kept)-1)*99/100].Microseconds()) / 1000, len(kept)
}

// eventCounter counts the events of the last ten minutes.
type eventCounter struct {
	mu    sync.Mutex
	times []time.Time
}

func (c *eventCounter) add(moment time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.prune(moment), moment)
	if over := len(c.times) - maxElections; over > 0 {
		c.times = slices.Delete(c.times, 0, over)
	}
}

func (c *eventCounter) count(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = c.prune(now)
	return len(c.times)
}

func (c *eventCounter) prune(now time.Time) []time.Time {
	return slices.DeleteFunc(c.times, func(moment time.Time) bool { return now.Sub(moment) > electionsWindow })
}

// Refusal is the last reply of a server that refused our connection. Reason begins with a code.
type Refusal struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
	AtMs   int64  `json:"atMs"`
}

// refusals holds the last refusal of each server until that server accepts a connection.
type refusals struct {
	mu       sync.Mutex
	byServer map[string]Refusal
}

func (r *refusals) note(server string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.byServer, server)
		return
	}
	var refused *RefusedError
	if errors.As(err, &refused) && (len(r.byServer) < maxRefusals || r.byServer[server] != Refusal{}) {
		r.byServer[server] = Refusal{server, refused.Reason, time.Now().UnixMilli()}
	}
}

// list returns the refusals ordered by server.
func (r *refusals) list() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Refusal, 0, len(r.byServer))
	for _, refused := range r.byServer {
		list = append(list, refused)
	}
	slices.SortFunc(list, func(a, b Refusal) int { return strings.Compare(a.Server, b.Server) })
	return list
}
