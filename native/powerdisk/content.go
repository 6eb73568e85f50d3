// The bytes of a file: what a reader sees, what is on the disk, and the pages between the two.

package powerdisk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// pageBytes is what a disk writes whole or not at all.
const pageBytes = 4096

// maxDrafts bounds how many contents of a page, newer than the durable one, can be what a torn file has.
const maxDrafts = 4

// pages are the contents of a file by their number. A slice in it is never changed, so two states can share one. A
// page that is missing is zeros.
type pages map[int64][]byte

// content is a file. Every write makes a draft of each page that it touches, until sync.
type content struct {
	size, durableSize int64
	live, durable     pages
	drafts            map[int64][][]byte
	draftSizes        []int64
}

func newContent() content {
	return content{live: pages{}, durable: pages{}, drafts: map[int64][][]byte{}}
}

func (c *content) read(into []byte, offset int64) int {
	wanted := max(0, min(int64(len(into)), c.size-offset))
	for done := int64(0); done < wanted; {
		number, start := (offset+done)/pageBytes, (offset+done)%pageBytes
		part := into[done:min(wanted, done+pageBytes-start)]
		if page := c.live[number]; page != nil {
			copy(part, page[start:])
		} else {
			clear(part)
		}
		done += int64(len(part))
	}
	return int(wanted)
}

func (c *content) write(data []byte, offset int64) {
	for done := 0; done < len(data); {
		number, start := (offset+int64(done))/pageBytes, (offset+int64(done))%pageBytes
		page := make([]byte, pageBytes)
		copy(page, c.live[number])
		done += copy(page[start:], data[done:])
		c.draft(number, page)
	}
	c.resize(max(c.size, offset+int64(len(data))))
}

func (c *content) truncate(size int64) {
	for number := range c.live {
		if number*pageBytes >= size {
			c.draft(number, nil)
		}
	}
	if page := c.live[size/pageBytes]; page != nil && size < c.size {
		cut := make([]byte, pageBytes)
		copy(cut, page[:size%pageBytes])
		c.draft(size/pageBytes, cut)
	}
	c.resize(size)
}

func (c *content) draft(number int64, page []byte) {
	if page == nil {
		delete(c.live, number)
	} else {
		c.live[number] = page
	}
	c.drafts[number] = append(c.drafts[number], page)
	if len(c.drafts[number]) > maxDrafts {
		c.drafts[number] = slices.Delete(c.drafts[number], 0, 1)
	}
}

func (c *content) resize(size int64) {
	if size == c.size {
		return
	}
	c.size = size
	c.draftSizes = append(c.draftSizes, size)
	if len(c.draftSizes) > maxDrafts {
		c.draftSizes = slices.Delete(c.draftSizes, 0, 1)
	}
}

// sync makes durable what a reader sees.
func (c *content) sync() {
	for number := range c.drafts {
		if page := c.live[number]; page != nil {
			c.durable[number] = page
		} else {
			delete(c.durable, number)
		}
	}
	c.durableSize = c.size
	c.drafts, c.draftSizes = map[int64][][]byte{}, nil
}

// after returns the file as it is after the power was gone: what was synced and, with chance, any of the later contents
// of each page and any of the later sizes.
func (c *content) after(chance *rand.Rand) content {
	left := newContent()
	left.durable, left.durableSize = maps.Clone(c.durable), c.durableSize
	if chance != nil {
		left.durableSize = pick(chance, c.durableSize, c.draftSizes)
		for _, number := range slices.Sorted(maps.Keys(c.drafts)) {
			if page := pick(chance, c.durable[number], c.drafts[number]); page != nil {
				left.durable[number] = page
			} else {
				delete(left.durable, number)
			}
		}
		left.cut()
	}
	left.live, left.size = maps.Clone(left.durable), left.durableSize
	return left
}

// cut drops what lies beyond the durable size.
func (c *content) cut() {
	for number, page := range c.durable {
		switch over := c.durableSize - number*pageBytes; {
		case over <= 0:
			delete(c.durable, number)
		case over < pageBytes:
			c.durable[number] = append(slices.Clone(page[:over]), make([]byte, pageBytes-over)...)
		}
	}
}

// pick returns what was durable or one of the drafts, each as likely as the others.
func pick[T any](chance *rand.Rand, durable T, drafts []T) T {
	if at := chance.IntN(len(drafts) + 1); at < len(drafts) {
		return drafts[at]
	}
	return durable
}
