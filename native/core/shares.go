// Shares of something bounded: connections, requests, bytes. A caller may hold at most as much as is left free, so that
// however many callers take all they can get, there is some left for the next one.

package core

import "sync"

type shares struct {
	total   int64
	perHold int64 // most for one caller, however much is free
	mu      sync.Mutex
	held    map[string]int64
	sum     int64
}

func newShares(total, perHold int64) *shares {
	return &shares{total: total, perHold: perHold, held: map[string]int64{}}
}

// take holds count for a caller and reports whether it could. A caller that holds nothing gets what fits.
func (s *shares) take(caller string, count int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, free := s.held[caller]+count, s.total-s.sum-count
	if free < 0 || own > s.perHold || (own > count && own > free) {
		return false
	}
	s.held[caller] = own
	s.sum += count
	return true
}

// give gives back what take held.
func (s *shares) give(caller string, count int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum -= count
	if s.held[caller] -= count; s.held[caller] <= 0 {
		delete(s.held, caller)
	}
}
