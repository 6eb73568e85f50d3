// Connections of other protocols than HTTP over the host's network, such as SMTP: with TLS to what requests may reach,
// without it to what outbound.allow lists.

package core

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// open returns a connection to host:port, on which TLS is done where it is secure.
func (o *outbound) open(ctx context.Context, target string, secure bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	raw, err := o.http.dial(ctx, target, secure)
	if err != nil {
		return nil, err
	}
	conn := raw
	if secure {
		host, _, _ := net.SplitHostPort(target)
		over := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.http.roots, ServerName: host})
		if err := over.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		conn = over
	}
	_ = conn.SetDeadline(time.Now().Add(outboundTimeout))
	return &limitedConn{Conn: conn, left: maxOutboundBytes}, nil
}

// dial opens TCP, as a request to the same host and port would.
func (w *ways) dial(ctx context.Context, target string, secure bool) (net.Conn, error) {
	if !secure {
		return w.guard.dial(ctx, target, true)
	}
	transport, err := w.transportFor(&url.URL{Scheme: "https", Host: target})
	if err != nil {
		return nil, err
	}
	if w.proxied == nil || transport != w.proxied {
		return w.guard.dial(ctx, target, false)
	}
	return w.proxy.dial(ctx, target)
}

// dial opens a connection through the CONNECT of the proxy.
func (p *outboundProxy) dial(ctx context.Context, target string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if err := p.connect(conn, target); err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

func (p *outboundProxy) connect(conn net.Conn, target string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: p.header}
	if err := request.Write(conn); err != nil {
		return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	switch {
	case err != nil:
		return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	case response.StatusCode != http.StatusOK:
		return &proxyRefused{p.address, target, response.StatusCode}
	case reader.Buffered() > 0:
		// TLS begins with this side.
		return errors.New("the proxy sent bytes before the connection was used")
	}
	return nil
}

// limitedConn fails once more than left bytes were read.
type limitedConn struct {
	net.Conn
	left int64
}

// Read returns errOutboundTooLarge beyond the limit.
func (c *limitedConn) Read(into []byte) (int, error) {
	count, err := c.Conn.Read(into)
	if c.left -= int64(count); c.left < 0 {
		return 0, errOutboundTooLarge
	}
	return count, err
}

// CloseWrite closes one direction.
func (c *limitedConn) CloseWrite() error { return closeWrite(c.Conn) }
