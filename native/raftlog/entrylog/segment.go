// One file of the log: a head with its number and a random salt, then frames, then zeros that are reserved.

package entrylog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

const (
	segmentMagic     = "CAIRNLOG"
	segmentHeadBytes = 40
	// startsOver says that everything in files of lower numbers was copied to this one, or removed.
	startsOver = 1
	// temporarySuffix is on the name of a file until it is whole.
	temporarySuffix = ".new"
)

// CorruptError says that the log is damaged where it was synced before: entries that were acknowledged may be lost.
type CorruptError struct {
	Path   string
	At     int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.Path, e.At, e.Reason)
}

// segment is an open file. `end` is where the next frame goes.
type segment struct {
	path   string
	number uint64
	salt   uint64
	flags  uint32
	file   *os.File
	end    int64
	size   int64
	sealed bool
}

func segmentPath(folder string, number uint64) string {
	return filepath.Join(folder, fmt.Sprintf("%020d.seg", number))
}

// createSegment makes a file of that size, with what fill writes to it, whole or not at all.
func createSegment(folder string, number uint64, flags uint32, size int64, fill func(*segment) error) (*segment, error) {
	path := segmentPath(folder, number)
	temporary := path + temporarySuffix
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	var salt [8]byte
	_, _ = rand.Read(salt[:])
	made := &segment{path: path, number: number, salt: binary.LittleEndian.Uint64(salt[:]), flags: flags, file: file,
		end: segmentHeadBytes}
	if _, err = file.WriteAt(made.head(), 0); err == nil && fill != nil {
		err = fill(made)
	}
	made.size = max(size, made.end)
	if err == nil {
		err = reserve(file, made.size)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = SyncFolder(folder)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(temporary)
		return nil, err
	}
	return made, nil
}

func (s *segment) head() []byte {
	head := make([]byte, segmentHeadBytes)
	copy(head, segmentMagic)
	binary.LittleEndian.PutUint64(head[8:], s.number)
	binary.LittleEndian.PutUint64(head[16:], s.salt)
	binary.LittleEndian.PutUint32(head[24:], s.flags)
	binary.LittleEndian.PutUint32(head[28:], crc32.Checksum(head[:28], castagnoli))
	return head
}

// openSegment opens a file and reads its head; the frames are not read yet.
func openSegment(path string, number uint64) (*segment, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	found := &segment{path: path, number: number, file: file, end: segmentHeadBytes}
	head := make([]byte, segmentHeadBytes)
	info, err := file.Stat()
	if err == nil && info.Size() < segmentHeadBytes {
		err = &CorruptError{path, info.Size(), "the file ends within its head"}
	}
	if err == nil {
		found.size = info.Size()
		_, err = file.ReadAt(head, 0)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	if string(head[:8]) != segmentMagic || binary.LittleEndian.Uint64(head[8:]) != number ||
		binary.LittleEndian.Uint32(head[28:]) != crc32.Checksum(head[:28], castagnoli) {
		_ = file.Close()
		return nil, &CorruptError{path, 0, "its head is not that of this file"}
	}
	found.salt = binary.LittleEndian.Uint64(head[16:])
	found.flags = binary.LittleEndian.Uint32(head[24:])
	return found, nil
}

// scan calls each for the frames of the file, in order. Only the last file of a log may end without a seal, and may end
// with a frame whose write was cut off: that one is removed.
func (s *segment) scan(isLast bool, each func(frameHead, int64)) error {
	for !s.sealed {
		head, ok, err := s.headAt(s.end)
		if err == nil && ok && isLast {
			_, ok, err = s.readBody(head, s.end)
		}
		if err != nil {
			return err
		}
		if !ok && !isLast {
			return &CorruptError{s.path, s.end, "a frame is not whole, and a later file follows"}
		}
		if !ok {
			return s.cutOff()
		}
		each(head, s.end)
		s.sealed = head.kind == sealFrame
		s.end += head.size()
	}
	return nil
}

// headAt reads the head of a frame; false if there is none.
func (s *segment) headAt(at int64) (frameHead, bool, error) {
	if at+headBytes > s.size {
		return frameHead{}, false, nil
	}
	var found [headBytes]byte
	if _, err := s.file.ReadAt(found[:], at); err != nil {
		return frameHead{}, false, err
	}
	head, ok := decodeHead(found[:], s.salt, at)
	// The room for a frame is there, and synced, before it is written.
	if ok && at+head.size() > s.size {
		return frameHead{}, false, &CorruptError{s.path, at, fmt.Sprintf("the file ends at byte %d, within a frame", s.size)}
	}
	return head, ok, nil
}

// readBody returns the body of a frame, and whether it is what was written.
func (s *segment) readBody(head frameHead, at int64) ([]byte, bool, error) {
	body := make([]byte, head.body)
	if _, err := s.file.ReadAt(body, at+headBytes); err != nil {
		return nil, false, err
	}
	return body, crc32.Checksum(body, castagnoli) == head.bodySum, nil
}

// body returns the body of a frame, or a *CorruptError if it is not what was written.
func (s *segment) body(head frameHead, at int64) ([]byte, error) {
	body, isWhole, err := s.readBody(head, at)
	if err == nil && !isWhole {
		return nil, &CorruptError{s.path, at, fmt.Sprintf("the entries %d to %d are not what was written", head.from, head.to)}
	}
	return body, err
}

// cutOff removes what follows the last whole frame: the rest of a write that did not end. The next frame is written
// only after the sync of the one before, so the head of a frame behind a damaged one proves that it was synced.
func (s *segment) cutOff() error {
	rest := make([]byte, s.size-s.end)
	if _, err := s.file.ReadAt(rest, s.end); err != nil {
		return err
	}
	for at := alignment; at+headBytes <= len(rest); at += alignment {
		if _, ok := decodeHead(rest[at:], s.salt, s.end+int64(at)); ok {
			return &CorruptError{s.path, s.end, fmt.Sprintf("a frame is not whole, and one that was written later follows at byte %d",
				s.end+int64(at))}
		}
	}
	if len(bytes.TrimRight(rest, "\x00")) == 0 {
		return nil
	}
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	if err := reserve(s.file, s.size); err != nil {
		return err
	}
	return s.file.Sync()
}

// write appends a frame; it is durable only after sync. `buffer` holds room for the head, then the body.
func (s *segment) write(kind frameKind, from, to uint64, buffer []byte) (frameHead, int64, error) {
	body := buffer[headBytes:]
	head := frameHead{kind: kind, from: from, to: to, body: uint32(len(body)), bodySum: crc32.Checksum(body, castagnoli)}
	at := s.end
	head.encode(buffer, s.salt, at)
	if _, err := s.file.WriteAt(buffer, at); err != nil {
		return head, at, err
	}
	s.end += head.size()
	return head, at, nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
