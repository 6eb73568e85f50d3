// The frame that was read last: entries are read in order.

package entrylog

import "sync"

// frameCache keeps the body of the frame that was read last: entries are read in order.
type frameCache struct {
	mu   sync.Mutex
	file *segment
	at   int64
	body []byte
}

// read returns the body of the frame of a span.
func (c *frameCache) read(of span) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == of.file && c.at == of.at {
		return c.body, nil
	}
	body, err := of.file.body(of.head, of.at)
	if err != nil {
		return nil, err
	}
	c.file, c.at, c.body = of.file, of.at, body
	return body, nil
}

// forget drops what is kept of files that are gone.
func (c *frameCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file, c.body = nil, nil
}
