// Copies of the store sent to a lagging member: a header {fleet, epoch, bytes, sha256}, then the file. The receiver
// checks the transfer against the header (replication.md 22); the store that installs the copy checks its content.

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

// diskError is a write error in this member's own folder.
type diskError struct{ err error }

func (e *diskError) Error() string { return e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// copyReader reads the header, then the file; Close deletes the file.
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

// Close removes the copy and releases the hold on the log.
func (r *copyReader) Close() error {
	defer r.release()
	_ = os.Remove(r.file.Name())
	return r.file.Close()
}

// incomingCopy is a copy being received, in chunks of any size.
type incomingCopy struct {
	path, fleet, epoch string

	head   []byte
	header *copyHeader
	file   *os.File
	sum    hash.Hash
	count  int64
}

func (c *incomingCopy) Write(content []byte) (int, error) {
	took := len(content)
	if c.header == nil {
		c.head = append(c.head, content...)
		reader := bytes.NewReader(c.head)
		var header copyHeader
		err := readJSON(reader, &header, maxHelloBytes)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return took, nil
		}
		if err == nil {
			err = c.begin(header)
		}
		if err != nil {
			return 0, fmt.Errorf("the received copy of the store is refused: %w", err)
		}
		content = c.head[len(c.head)-reader.Len():]
		c.head = nil
	}
	c.count += int64(len(content))
	if c.count > c.header.Bytes {
		return 0, fmt.Errorf("the copy of the store is longer than the %d bytes announced", c.header.Bytes)
	}
	c.sum.Write(content)
	if _, err := c.file.Write(content); err != nil {
		return 0, &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	return took, nil
}

func (c *incomingCopy) begin(header copyHeader) error {
	switch {
	case header.Fleet != c.fleet || header.Epoch != c.epoch:
		return fmt.Errorf("it is of fleet %.64q, epoch %.64q; this node is in %q, %q", header.Fleet, header.Epoch, c.fleet,
			c.epoch)
	case header.Bytes < 1 || header.Bytes > maxCopyBytes:
		return fmt.Errorf("it has %d bytes; 1 to %d are allowed", header.Bytes, int64(maxCopyBytes))
	}
	file, err := os.OpenFile(c.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return &diskError{err}
	}
	c.header, c.file, c.sum = &header, file, sha256.New()
	return nil
}

// finish verifies length and checksum and fsyncs the file.
func (c *incomingCopy) finish() error {
	if c.header == nil {
		return fmt.Errorf("the copy of the store ended inside its header")
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); c.count != c.header.Bytes || got != c.header.Sha256 {
		return fmt.Errorf("the copy of the store arrived damaged: %d of %d bytes, sha256 %s instead of %.64s", c.count,
			c.header.Bytes, got, c.header.Sha256)
	}
	if err := c.file.Sync(); err != nil {
		return &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	if err := c.file.Close(); err != nil {
		return &diskError{fmt.Errorf("storing a received copy: %w", err)}
	}
	return nil
}

func (c *incomingCopy) remove() {
	if c.file != nil {
		c.file.Close()
		_ = os.Remove(c.path)
	}
}
