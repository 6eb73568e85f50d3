// Upgraded connections: what a client sent behind its request, before the response, belongs to the new protocol.

package core

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// upgradable returns a writer for ReverseProxy, which copies from the connection alone: it drops what the server read
// ahead of it. Only requests with `Upgrade` are hijacked.
func upgradable(writer http.ResponseWriter, request *http.Request) http.ResponseWriter {
	if request.Header.Get("Upgrade") == "" {
		return writer
	}
	return &upgradableWriter{writer}
}

type upgradableWriter struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w *upgradableWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack returns a connection whose first bytes are those that were read ahead.
func (w *upgradableWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ahead := io.LimitReader(buffered.Reader, int64(buffered.Reader.Buffered()))
	return &readAheadConn{conn, io.MultiReader(ahead, conn)}, buffered, nil
}

type readAheadConn struct {
	net.Conn
	reader io.Reader
}

// Read reads what was read ahead, then the connection.
func (c *readAheadConn) Read(into []byte) (int, error) { return c.reader.Read(into) }

// CloseWrite closes one direction.
func (c *readAheadConn) CloseWrite() error { return closeWrite(c.Conn) }
