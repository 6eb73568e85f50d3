// The source of TLS certificates: the tailnet (Let's Encrypt through control) in the product, an injected source in
// tests.

package core

import "crypto/tls"

// CertSource returns the certificate for a TLS handshake.
type CertSource interface {
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// certificates returns this node's certificate source.
func (n *Node) certificates() CertSource {
	if n.options.Certificates != nil {
		return n.options.Certificates
	}
	return n.lc
}
