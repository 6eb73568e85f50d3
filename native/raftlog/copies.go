// A copy of the store on its way to a member that lags: a header {fleet, epoch, bytes, sha256}, then the file. The receiver believes nothing
// else (replication.md 22); what the copy says inside is checked by the store that installs it.

package raftlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// maxCopyBytes bounds a received copy.
const maxCopyBytes = 256 << 30

type copyHeader struct {
	Fleet  string `json:"fleet"`
	Epoch  string `json:"epoch"`
	Bytes  int64  `json:"bytes"`
	Sha256 string `json:"sha256"`
}

// diskError is a failure of this member's own folder.
type diskError struct{ err error }

func (failure *diskError) Error() string { return failure.err.Error() }
func (failure *diskError) Unwrap() error { return failure.err }

// copyReader reads header and file; the file goes with it.
type copyReader struct {
	io.Reader
	file    *os.File
	size    int64
	release func()
}

func openCopy(path, fleet, epoch string, release func()) (*copyReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	var head bytes.Buffer
	if err == nil {
		err = writeJSON(&head, copyHeader{fleet, epoch, size, hex.EncodeToString(sum.Sum(nil))})
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &copyReader{io.MultiReader(bytes.NewReader(head.Bytes()), file), file, size + int64(head.Len()), release}, nil
}

// Close removes the copy, and lets the log be shortened again.
func (reader *copyReader) Close() error {
	defer reader.release()
	_ = os.Remove(reader.file.Name())
	return reader.file.Close()
}

// received is a copy that comes in, cut anywhere.
type received struct {
	path, fleet, epoch string

	head   []byte
	header *copyHeader
	file   *os.File
	sum    hash.Hash
	count  int64
}

func (copy *received) Write(content []byte) (int, error) {
	took := len(content)
	if copy.header == nil {
		copy.head = append(copy.head, content...)
		reader := bytes.NewReader(copy.head)
		var header copyHeader
		err := readJSON(reader, &header, maxHelloBytes)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return took, nil
		}
		if err == nil {
			err = copy.begin(header)
		}
		if err != nil {
			return 0, fmt.Errorf("the copy of a store that came cannot be taken: %w", err)
		}
		content = copy.head[len(copy.head)-reader.Len():]
		copy.head = nil
	}
	copy.count += int64(len(content))
	if copy.count > copy.header.Bytes {
		return 0, fmt.Errorf("the copy of a store is longer than the %d bytes that were announced", copy.header.Bytes)
	}
	copy.sum.Write(content)
	if _, err := copy.file.Write(content); err != nil {
		return 0, &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	return took, nil
}

func (copy *received) begin(header copyHeader) error {
	switch {
	case header.Fleet != copy.fleet || header.Epoch != copy.epoch:
		return fmt.Errorf("it is of fleet %.64q, epoch %.64q; this node is in %q, %q", header.Fleet, header.Epoch, copy.fleet, copy.epoch)
	case header.Bytes < 1 || header.Bytes > maxCopyBytes:
		return fmt.Errorf("it has %d bytes; 1 to %d are taken", header.Bytes, int64(maxCopyBytes))
	}
	file, err := os.OpenFile(copy.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return &diskError{err}
	}
	copy.header, copy.file, copy.sum = &header, file, sha256.New()
	return nil
}

// finish checks that all of it came unchanged, and makes it durable.
func (copy *received) finish() error {
	if copy.header == nil {
		return fmt.Errorf("the copy of a store ended inside its header")
	}
	if got := hex.EncodeToString(copy.sum.Sum(nil)); copy.count != copy.header.Bytes || got != copy.header.Sha256 {
		return fmt.Errorf("the copy of a store arrived damaged: %d of %d bytes, sha256 %s instead of %.64s", copy.count, copy.header.Bytes, got, copy.header.Sha256)
	}
	if err := copy.file.Sync(); err != nil {
		return &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	if err := copy.file.Close(); err != nil {
		return &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	return nil
}

func (copy *received) remove() {
	if copy.file != nil {
		copy.file.Close()
		_ = os.Remove(copy.path)
	}
}
