// Frames: what a segment consists of. A frame is written and synced as one, and says by its checksums whether it is
// whole. The checksum of its head covers the salt of its file and its place in it, so that no content of an entry, and
// nothing left from another file, is taken for a frame.

package entrylog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

type frameKind uint8

const (
	// entriesFrame holds the entries from..to.
	entriesFrame frameKind = 1
	// removalFrame removes the entries from..to, of those that were written before it.
	removalFrame frameKind = 2
	// sealFrame is the last one of a file: the next file follows.
	sealFrame frameKind = 3
)

const (
	frameMagic = 0x474f4c43
	headBytes  = 40
	// entryHeadBytes come before the data and the extensions of an entry.
	entryHeadBytes = 25
	// alignment is where frames may begin.
	alignment = 8
	// maxFrameBytes bounds what is written as one frame.
	maxFrameBytes = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameHead is what stands before the body of a frame.
type frameHead struct {
	kind     frameKind
	from, to uint64
	body     uint32
	bodySum  uint32
}

// size returns the bytes of the whole frame, padding included.
func (h frameHead) size() int64 {
	return (headBytes + int64(h.body) + alignment - 1) / alignment * alignment
}

// encode writes a head for a place in a file with that salt.
func (h frameHead) encode(into []byte, salt uint64, at int64) {
	clear(into[:headBytes])
	binary.LittleEndian.PutUint32(into, frameMagic)
	into[4] = byte(h.kind)
	binary.LittleEndian.PutUint32(into[8:], h.body)
	binary.LittleEndian.PutUint64(into[16:], h.from)
	binary.LittleEndian.PutUint64(into[24:], h.to)
	binary.LittleEndian.PutUint32(into[32:], h.bodySum)
	binary.LittleEndian.PutUint32(into[36:], headSum(into, salt, at))
}

// decodeHead reads a head; false if there is none.
func decodeHead(from []byte, salt uint64, at int64) (frameHead, bool) {
	head := frameHead{
		kind:    frameKind(from[4]),
		body:    binary.LittleEndian.Uint32(from[8:]),
		from:    binary.LittleEndian.Uint64(from[16:]),
		to:      binary.LittleEndian.Uint64(from[24:]),
		bodySum: binary.LittleEndian.Uint32(from[32:]),
	}
	valid := binary.LittleEndian.Uint32(from) == frameMagic && binary.LittleEndian.Uint32(from[36:]) == headSum(from, salt, at)
	return head, valid
}

func headSum(head []byte, salt uint64, at int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], salt)
	binary.LittleEndian.PutUint64(place[8:], uint64(at))
	return crc32.Update(crc32.Checksum(head[:36], castagnoli), castagnoli, place[:])
}

// appendEntries appends the body of a frame to into.
func appendEntries(into []byte, entries []*raft.Log) []byte {
	for _, entry := range entries {
		into = binary.LittleEndian.AppendUint32(into, uint32(len(entry.Data)))
		into = binary.LittleEndian.AppendUint32(into, uint32(len(entry.Extensions)))
		into = binary.LittleEndian.AppendUint64(into, entry.Term)
		into = binary.LittleEndian.AppendUint64(into, uint64(nanoseconds(entry.AppendedAt)))
		into = append(into, byte(entry.Type))
		into = append(into, entry.Data...)
		into = append(into, entry.Extensions...)
	}
	return into
}

// decodeEntry reads the entry with that index from the body of a frame whose first entry is first. Its data is part of
// the body, which must not be changed any more.
func decodeEntry(body []byte, first, index uint64, into *raft.Log) error {
	for at := first; len(body) >= entryHeadBytes; at++ {
		data := uint64(binary.LittleEndian.Uint32(body))
		extensions := uint64(binary.LittleEndian.Uint32(body[4:]))
		end := entryHeadBytes + data + extensions
		if end > uint64(len(body)) {
			break
		}
		if at < index {
			body = body[end:]
			continue
		}
		*into = raft.Log{
			Index:      index,
			Term:       binary.LittleEndian.Uint64(body[8:]),
			Type:       raft.LogType(body[24]),
			Data:       body[entryHeadBytes : entryHeadBytes+data : entryHeadBytes+data],
			AppendedAt: timeOf(int64(binary.LittleEndian.Uint64(body[16:]))),
		}
		if extensions > 0 {
			into.Extensions = body[entryHeadBytes+data : end : end]
		}
		return nil
	}
	return fmt.Errorf("the frame of entry %d does not hold it", index)
}

// nanoseconds returns a time as Unix nanoseconds, and 0 for none.
func nanoseconds(moment time.Time) int64 {
	if moment.IsZero() {
		return 0
	}
	return moment.UnixNano()
}

func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}
