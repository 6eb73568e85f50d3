// Which entries a log has, and where: runs of entries of one frame, by index.

package entrylog

import "slices"

// span is a run of entries of one frame. `first` is the index of the frame's first entry, which may be removed.
type span struct {
	from, to uint64
	first    uint64
	file     *segment
	at       int64
	head     frameHead
}

// spans are disjoint and ascending.
type spans []span

// add puts a span in its place. An entry that was there before is replaced.
func (s *spans) add(next span) {
	if count := len(*s); count > 0 && (*s)[count-1].to >= next.from {
		s.cut(next.from, next.to)
	}
	*s = slices.Insert(*s, s.search(next.from), next)
}

// cut forgets the entries from..to.
func (s *spans) cut(from, to uint64) {
	low := s.search(from)
	high := low
	for high < len(*s) && (*s)[high].from <= to {
		high++
	}
	if low == high {
		return
	}
	var kept []span
	if left := (*s)[low]; left.from < from {
		left.to = from - 1
		kept = append(kept, left)
	}
	if right := (*s)[high-1]; right.to > to {
		right.from = to + 1
		kept = append(kept, right)
	}
	*s = slices.Replace(*s, low, high, kept...)
}

// search returns the place of the first span that ends at the index or after it.
func (s *spans) search(index uint64) int {
	at, _ := slices.BinarySearchFunc(*s, index, func(one span, index uint64) int {
		if one.to < index {
			return -1
		}
		return 1
	})
	return at
}

// oldestFile returns the lowest number of a file that holds an entry, or another one if none does.
func (s *spans) oldestFile(otherwise uint64) uint64 {
	for _, one := range *s {
		otherwise = min(otherwise, one.file.number)
	}
	return otherwise
}
