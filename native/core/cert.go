// Where TLS certificates come from: the tailnet (Let's Encrypt through control) in the product,
// an injected source in tests.

package core

import "crypto/tls"

// CertSource answers the certificate for a TLS handshake.
type CertSource interface {
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// certificates answers the source of this node.
func (node *Node) certificates() CertSource {
	if node.options.Certificates != nil {
		return node.options.Certificates
	}
	return node.lc
}
