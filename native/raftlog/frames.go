// The frame encoding of raft.sock: u32 length, u8 type, payload, big endian (native/RAFT.md). link.go and socket.go
// implement what the frames mean.

package raftlog

import (
	"encoding/binary"
	"fmt"
	"io"
)

// SocketVersion is the version of raft.sock; both sides must have the same.
const SocketVersion = 3

// MaxFrameBytes bounds type and payload of one frame.
const MaxFrameBytes = 16 << 20

// Frame types. Types below 16 are sent to Go, types from 16 on are sent by Go.
const (
	FrameHello      byte = 1
	FramePropose    byte = 2
	FrameApplied    byte = 3
	FrameAnswer     byte = 4
	FrameAlive      byte = 5
	FrameErase      byte = 6
	FrameWelcome    byte = 16
	FrameCommitted  byte = 17
	FrameProposed   byte = 18
	FrameRefused    byte = 19
	FrameLeadership byte = 20
	FrameAsk        byte = 21
	FrameFatal      byte = 22
	FrameErased     byte = 23
)

// Reasons of a refused proposal. Only an entry refused with RefusedUnknown may still be committed; RefusedReplaced may
// follow and states that it will not be.
const (
	RefusedNotLeader byte = 1
	RefusedBusy      byte = 2
	RefusedUnknown   byte = 3
	RefusedReplaced  byte = 4
)

// Entry is one committed command entry; Data is empty for a barrier.
type Entry struct {
	Index uint64
	Term  uint64
	Data  []byte
}

// Applied is the position of the store: its last entry, and the server that wrote it ("" for a store that was never in
// a fleet).
type Applied struct {
	Index  uint64
	Term   uint64
	Server string
}

// EncodeFrame returns a frame: length, type, payload.
func EncodeFrame(kind byte, payload ...[]byte) []byte {
	size := 1
	for _, part := range payload {
		size += len(part)
	}
	frame := make([]byte, 5, 4+size)
	binary.BigEndian.PutUint32(frame, uint32(size))
	frame[4] = kind
	for _, part := range payload {
		frame = append(frame, part...)
	}
	return frame
}

// ReadFrame reads one frame and returns its type and payload; it refuses invalid sizes.
func ReadFrame(reader io.Reader) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 1 || size > MaxFrameBytes {
		return 0, nil, fmt.Errorf("a frame of %d bytes on raft.sock; 1 to %d are allowed", size, MaxFrameBytes)
	}
	payload := make([]byte, size-1)
	if _, err := io.ReadFull(reader, payload); err != nil {
		return 0, nil, err
	}
	return head[4], payload, nil
}

// EncodeHello returns the first frame of the TypeScript side: its version and the position of the store.
func EncodeHello(applied Applied) []byte {
	payload := binary.BigEndian.AppendUint16(nil, SocketVersion)
	payload = append(payload, numbers(applied.Index, applied.Term)...)
	return EncodeFrame(FrameHello, payload, []byte(applied.Server))
}

// DecodeHello decodes the payload of a hello; a different version is an error.
func DecodeHello(payload []byte) (Applied, error) {
	if len(payload) < 18 || len(payload) > 18+128 {
		return Applied{}, fmt.Errorf("a hello of %d bytes on raft.sock", len(payload))
	}
	if version := binary.BigEndian.Uint16(payload); version != SocketVersion {
		return Applied{}, fmt.Errorf("raft.sock has version %d on one side and %d on the other", version, SocketVersion)
	}
	return Applied{Index: number(payload, 2), Term: number(payload, 10), Server: string(payload[18:])}, nil
}

// EncodeCommitted returns a frame with a batch of committed entries, oldest first; previous is the entry before them,
// which the store must hold.
func EncodeCommitted(previous uint64, batch []Entry) []byte {
	size := 12
	for _, entry := range batch {
		size += 20 + len(entry.Data)
	}
	payload := make([]byte, 0, size)
	payload = binary.BigEndian.AppendUint64(payload, previous)
	payload = binary.BigEndian.AppendUint32(payload, uint32(len(batch)))
	for _, entry := range batch {
		payload = append(payload, numbers(entry.Index, entry.Term)...)
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(entry.Data)))
		payload = append(payload, entry.Data...)
	}
	return EncodeFrame(FrameCommitted, payload)
}

// EncodeProposed returns a frame that says where the entry of that ticket is committed.
func EncodeProposed(ticket, index, term uint64) []byte {
	return EncodeFrame(FrameProposed, numbers(ticket, index, term))
}

// EncodeRefused returns a frame that says why the entry of that ticket was not committed, or may not have been.
func EncodeRefused(ticket uint64, reason byte) []byte {
	return EncodeFrame(FrameRefused, numbers(ticket), []byte{reason})
}

// EncodeErased returns a frame that says that no file of the log holds an entry up to index, or why it may still: then
// reason is not "".
func EncodeErased(index uint64, reason string) []byte {
	return EncodeFrame(FrameErased, numbers(index), []byte(reason))
}

func numbers(values ...uint64) []byte {
	out := make([]byte, 0, 8*len(values))
	for _, value := range values {
		out = binary.BigEndian.AppendUint64(out, value)
	}
	return out
}

func number(payload []byte, at int) uint64 {
	return binary.BigEndian.Uint64(payload[at:])
}
