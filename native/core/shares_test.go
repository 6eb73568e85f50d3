// Tests of shares at their bounds.

package core

import "testing"

func TestSharesAtTheirBounds(t *testing.T) {
	all := newShares(4, 3)
	for _, row := range []struct {
		caller string
		count  int64
		want   bool
	}{
		{"a", 4, false}, // more than one may hold
		{"a", 1, true},
		{"a", 1, true},  // it holds as much as is left then
		{"a", 1, false}, // more than is left
		{"b", 3, false}, // more than there is
		{"b", 2, true},  // what fits, for one that holds nothing, to the last
		{"c", 1, false},
	} {
		if got := all.take(row.caller, row.count); got != row.want {
			t.Errorf("%s takes %d: %v, with %v held", row.caller, row.count, got, all.held)
		}
	}
	if whole := newShares(4, 4); !whole.take("a", 4) || whole.take("b", 1) {
		t.Errorf("one that may hold all: %v", whole.held)
	}
	if most := newShares(4, 8); !most.take("a", 3) || !most.take("b", 1) {
		t.Errorf("one that holds nothing got less than fits: %v", most.held)
	}
}
