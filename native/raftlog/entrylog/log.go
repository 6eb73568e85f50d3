// Package entrylog keeps the entries of a raft log in files that are only appended to: one write and one sync for each
// call. It is a raft.LogStore with the semantics of raft-boltdb: indexes may have gaps, and any range can be removed.
// Votes and terms are up to the caller.
//
// A removal is a frame like the entries are. Files from the front of which no entry is left are deleted; Rewrite copies
// what is left into a new file and deletes all others, so that no removed entry stays on the disk.
package entrylog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

const (
	// SegmentBytes is the usual size of a file.
	SegmentBytes = 8 << 20
	// keptBuffer bounds the memory that is kept between writes.
	keptBuffer = 1 << 20
)

// Log is an open log. It may be used from several goroutines.
type Log struct {
	folder       string
	segmentBytes int64

	// writing is held by what changes the log, while it waits for the disk.
	writing sync.Mutex
	buffer  []byte
	// broken is the first error of a write: nothing can be said about what is on the disk.
	broken error

	// mu guards what follows, and the files that are read.
	mu     sync.RWMutex
	spans  spans
	files  []*segment
	closed bool

	cache frameCache
}

// Open opens the log in a folder, which is made if it is missing; the caller makes its name durable. It removes what a
// write left that did not end, and returns a *CorruptError where anything else is damaged.
func Open(folder string) (*Log, error) { return open(folder, SegmentBytes) }

func open(folder string, segmentBytes int64) (_ *Log, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	log := &Log{folder: folder, segmentBytes: segmentBytes}
	defer func() {
		if err != nil {
			err = errors.Join(err, log.Close())
		}
	}()
	numbers, err := log.numbers()
	if err != nil {
		return nil, err
	}
	if err := log.openFiles(numbers); err != nil {
		return nil, err
	}
	for at, file := range log.files {
		err := file.scan(at == len(log.files)-1, func(head frameHead, place int64) { log.replay(file, head, place) })
		if err != nil {
			return nil, err
		}
	}
	if len(log.files) == 0 {
		first, err := createSegment(folder, 1, startsOver, segmentBytes, nil)
		if err != nil {
			return nil, err
		}
		log.files = append(log.files, first)
	}
	return log, log.dropEmpty()
}

// numbers returns the numbers of the files, ascending, and removes files that were never whole.
func (l *Log) numbers() ([]uint64, error) {
	names, err := os.ReadDir(l.folder)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, entry := range names {
		name := entry.Name()
		if strings.HasSuffix(name, temporarySuffix) {
			if err := os.Remove(filepath.Join(l.folder, name)); err != nil {
				return nil, err
			}
			continue
		}
		number, err := strconv.ParseUint(strings.TrimSuffix(name, ".seg"), 10, 64)
		if err != nil || segmentPath("", number) != name {
			return nil, fmt.Errorf("%s is no file of a raft log; move it out of %s", name, l.folder)
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openFiles opens the files from the newest one that starts over on, and removes those before it.
func (l *Log) openFiles(numbers []uint64) error {
	for at := len(numbers) - 1; at >= 0; at-- {
		file, err := openSegment(segmentPath(l.folder, numbers[at]), numbers[at])
		if err != nil {
			return err
		}
		l.files = slices.Insert(l.files, 0, file)
		if file.flags&startsOver != 0 {
			for _, older := range numbers[:at] {
				if err := os.Remove(segmentPath(l.folder, older)); err != nil {
					return err
				}
			}
			return nil
		}
		if at > 0 && numbers[at-1] != numbers[at]-1 {
			return &CorruptError{segmentPath(l.folder, numbers[at]-1), 0, "the file is missing"}
		}
	}
	return nil
}

// replay repeats at the start what a frame once did.
func (l *Log) replay(file *segment, head frameHead, at int64) {
	switch head.kind {
	case entriesFrame:
		l.spans.add(span{head.from, head.to, head.from, file, at, head})
	case removalFrame:
		l.spans.cut(head.from, head.to)
	}
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.spans) == 0 {
		return 0, l.state()
	}
	return l.spans[0].from, l.state()
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.spans) == 0 {
		return 0, l.state()
	}
	return l.spans[len(l.spans)-1].to, l.state()
}

// state returns the error of a log that is closed.
func (l *Log) state() error {
	if l.closed {
		return os.ErrClosed
	}
	return nil
}

// GetLog reads one entry: raft.ErrLogNotFound if there is none, a *CorruptError if it is not what was written.
func (l *Log) GetLog(index uint64, into *raft.Log) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.state(); err != nil {
		return err
	}
	at := l.spans.search(index)
	if at == len(l.spans) || l.spans[at].from > index {
		return raft.ErrLogNotFound
	}
	found := l.spans[at]
	body, err := l.cache.read(found)
	if err != nil {
		return err
	}
	return decodeEntry(body, found.first, index, into)
}

// StoreLog appends one entry.
func (l *Log) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries, and returns when they are on the disk. After an error nothing can be said about what is
// there, and the log takes no more writes.
func (l *Log) StoreLogs(entries []*raft.Log) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for len(entries) > 0 {
		run := 1
		for run < len(entries) && entries[run].Index == entries[run-1].Index+1 {
			run++
		}
		if err := l.append(entries[:run]); err != nil {
			return err
		}
		entries = entries[run:]
	}
	return nil
}

// append writes a run of entries as one frame. The caller holds writing.
func (l *Log) append(entries []*raft.Log) error {
	l.buffer = appendEntries(append(l.buffer[:0], make([]byte, headBytes)...), entries)
	if len(l.buffer)-headBytes > maxFrameBytes {
		return fmt.Errorf("%d entries have %d bytes, at most %d are written at once", len(entries), len(l.buffer), maxFrameBytes)
	}
	from, to := entries[0].Index, entries[len(entries)-1].Index
	file, head, at, err := l.writeFrame(entriesFrame, from, to, l.buffer)
	if cap(l.buffer) > keptBuffer {
		l.buffer = nil
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans.add(span{from, to, from, file, at, head})
	return nil
}

// DeleteRange removes the entries from..to, both included, durably. What they say stays on the disk until their file is
// deleted, or Rewrite is called.
func (l *Log) DeleteRange(from, to uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.RLock()
	at := l.spans.search(from)
	isEmpty := at == len(l.spans) || l.spans[at].from > to
	l.mu.RUnlock()
	if isEmpty {
		return nil
	}
	if _, _, _, err := l.writeFrame(removalFrame, from, to, make([]byte, headBytes)); err != nil {
		return err
	}
	l.mu.Lock()
	l.spans.cut(from, to)
	l.mu.Unlock()
	return l.breakOn(l.dropEmpty())
}

// writeFrame appends a frame to the last file, or to a new one if it has no room, and syncs it. The caller holds
// writing.
func (l *Log) writeFrame(kind frameKind, from, to uint64, buffer []byte) (*segment, frameHead, int64, error) {
	if l.broken != nil {
		return nil, frameHead{}, 0, l.broken
	}
	last := l.files[len(l.files)-1]
	// The seal needs room too.
	if need := int64(len(buffer)) + alignment + headBytes; last.sealed || last.end+need > last.size {
		next, err := l.nextFile(need)
		if err != nil {
			return nil, frameHead{}, 0, l.breakOn(err)
		}
		last = next
	}
	head, at, err := last.write(kind, from, to, buffer)
	if err == nil {
		err = syncData(last.file)
	}
	return last, head, at, l.breakOn(err)
}

// nextFile seals the last file and makes the next one, with room for so many bytes.
func (l *Log) nextFile(need int64) (*segment, error) {
	last := l.files[len(l.files)-1]
	if !last.sealed {
		if _, _, err := last.write(sealFrame, 0, 0, make([]byte, headBytes)); err != nil {
			return nil, err
		}
		if err := syncData(last.file); err != nil {
			return nil, err
		}
	}
	next, err := createSegment(l.folder, last.number+1, 0, max(l.segmentBytes, segmentHeadBytes+need), nil)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = append(l.files, next)
	return next, nil
}

// breakOn remembers the first error of a write.
func (l *Log) breakOn(err error) error {
	if err != nil && l.broken == nil {
		l.broken = fmt.Errorf("the raft log takes no writes after an earlier error: %w", err)
	}
	return err
}

// dropEmpty deletes files at the front that hold no entry any more; the last file stays. Their removals concern only
// files before them. One after the other, so that no gap is left by a loss of power. The caller holds writing.
func (l *Log) dropEmpty() error {
	for _, file := range l.takeEmpty() {
		if err := file.remove(); err != nil {
			return err
		}
		if err := SyncFolder(l.folder); err != nil {
			return err
		}
	}
	return nil
}

// takeEmpty takes the files at the front out of the log that hold no entry any more: no call reads them from then on.
func (l *Log) takeEmpty() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.spans.oldestFile(l.files[len(l.files)-1].number)
	count := 0
	for l.files[count].number < oldest {
		count++
	}
	empty := slices.Clone(l.files[:count])
	l.files = l.files[count:]
	return empty
}

// remove closes and deletes a file.
func (s *segment) remove() error {
	return errors.Join(s.file.Close(), os.Remove(s.path))
}

// Rewrite copies the entries into a new file and deletes all others: no removed entry is left. Where it fails before
// the new file is whole, the log is as before.
func (l *Log) Rewrite() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.broken != nil {
		return l.broken
	}
	number := l.files[len(l.files)-1].number + 1
	var copied []span
	next, err := createSegment(l.folder, number, startsOver, l.segmentBytes, func(into *segment) (err error) {
		copied, err = l.copyTo(into)
		return err
	})
	if err != nil {
		if _, missing := os.Stat(segmentPath(l.folder, number)); missing == nil {
			return l.breakOn(err)
		}
		return err
	}
	l.mu.Lock()
	old := l.files
	l.spans, l.files = copied, []*segment{next}
	l.mu.Unlock()
	l.cache.forget()
	for _, file := range old {
		if err := file.remove(); err != nil {
			return l.breakOn(err)
		}
	}
	return l.breakOn(SyncFolder(l.folder))
}

// copyTo writes every entry to a file that is not part of the log yet.
func (l *Log) copyTo(into *segment) ([]span, error) {
	var copied []span
	for _, one := range l.spans {
		body, err := one.file.body(one.head, one.at)
		if err != nil {
			return nil, err
		}
		var entries []*raft.Log
		for index := one.from; index <= one.to; index++ {
			entry := &raft.Log{}
			if err := decodeEntry(body, one.first, index, entry); err != nil {
				return nil, err
			}
			entries = append(entries, entry)
		}
		head, at, err := into.write(entriesFrame, one.from, one.to, appendEntries(make([]byte, headBytes), entries))
		if err != nil {
			return nil, err
		}
		copied = append(copied, span{one.from, one.to, one.from, into, at, head})
	}
	return copied, nil
}

// Close closes the files. Calls after it return os.ErrClosed, and a second Close does nothing.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.broken == nil {
		l.broken = os.ErrClosed
	}
	var err error
	for _, file := range l.files {
		err = errors.Join(err, file.file.Close())
	}
	return err
}
