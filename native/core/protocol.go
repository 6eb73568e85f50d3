// Package core is the tailnet half of Cairn: one tsnet node, the identification of callers, ingress and egress. It
// knows neither contexts nor roles: it proves the caller and moves bytes.
//
// This file holds the messages of the channel (PROTOCOL.md); framing is in channel.go.
package core

import "encoding/json"

// ProtocolVersion is the version of the channel and of the C ABI.
const ProtocolVersion = 1

// TailscaleVersion is the pinned tailscale.com version, as in go.mod.
const TailscaleVersion = "1.102.3"

// MaxLineBytes bounds one line of the channel in either direction, without its LF.
const MaxLineBytes = 1 << 20

// Error codes of the channel.
const (
	CodeBadRequest    = "bad_request"
	CodeUnknownMethod = "unknown_method"
	CodeNotUp         = "not_up"
	CodeAlreadyUp     = "already_up"
	CodeAuthKey       = "auth_key"
	CodeNotFound      = "not_found"
	CodeDialRefused   = "dial_refused"
	CodeNotLeader     = "not_leader"
	CodeChanged       = "changed"
	CodeTimeout       = "timeout"
	CodeInternal      = "internal"
)

// Fault is an error of the channel.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error returns the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Request is one line to the Go half.
type Request struct {
	ID     int64           `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// Reply is the response to the request of the same id, with a result or an error.
type Reply struct {
	ID     int64  `json:"id"`
	Result any    `json:"result,omitempty"`
	Error  *Fault `json:"error,omitempty"`
}

// UpParams configure the node; nothing is read from the environment.
type UpParams struct {
	StateDir       string   `json:"stateDir"`
	Hostname       string   `json:"hostname"`
	ControlURL     string   `json:"controlUrl,omitempty"`
	AuthKey        string   `json:"authKey,omitempty"`
	ClientSecret   string   `json:"clientSecret,omitempty"`
	Tags           []string `json:"tags,omitempty"`
	Ephemeral      bool     `json:"ephemeral,omitempty"`
	Capability     string   `json:"capability"`
	SocketDir      string   `json:"socketDir"`
	Target         string   `json:"target"`
	IngressSecret  string   `json:"ingressSecret"`
	EgressSecret   string   `json:"egressSecret"`
	Shared         string   `json:"shared"`
	AllowedHosts   []string `json:"allowedHosts"`
	AllowedOrigins []string `json:"allowedOrigins"`
	MaxBodyBytes   int64    `json:"maxBodyBytes"`
	OutboundAllow  []string `json:"outboundAllow,omitempty"`
	// OutboundProxy is http://host:port, and OutboundProxyAuth USER:PASSWORD for it.
	OutboundProxy     string `json:"outboundProxy,omitempty"`
	OutboundProxyAuth string `json:"outboundProxyAuth,omitempty"`
	TestMode          bool   `json:"testMode,omitempty"`
}

// LoginParams start a new login: with a key, or by URL when it is empty.
type LoginParams struct {
	AuthKey string `json:"authKey,omitempty"`
}

// WhoIsParams name an address: "ip" or "ip:port".
type WhoIsParams struct {
	Addr string `json:"addr"`
}

// WhoIsResult is the caller behind an address.
type WhoIsResult struct {
	Caller Caller `json:"caller"`
}

// GrantsParams name a list of capability objects by its hash.
type GrantsParams struct {
	Hash string `json:"hash"`
}

// GrantsResult holds the capability objects as the policy wrote them.
type GrantsResult struct {
	Grants []json.RawMessage `json:"grants"`
}

// ListenParams request ingress on a tailnet port. Target is a unix socket other than that of UpParams, or empty for the
// same; MaxBodyBytes is then the largest body that it accepts.
type ListenParams struct {
	Port         int    `json:"port"`
	TLS          bool   `json:"tls"`
	Target       string `json:"target,omitempty"`
	MaxBodyBytes int64  `json:"maxBodyBytes,omitempty"`
}

// CallerParams name a node by its StableNodeID.
type CallerParams struct {
	ID string `json:"id"`
}

// RaftMember is one member of the fleet: its raft server, its StableNodeID, and whether it is a voter.
type RaftMember struct {
	Server string `json:"server"`
	Node   string `json:"node"`
	Voter  bool   `json:"voter"`
}

// RaftOpenParams configure the raft member and name its socket to TypeScript.
type RaftOpenParams struct {
	Folder    string       `json:"folder"`
	Socket    string       `json:"socket"`
	Fleet     string       `json:"fleet"`
	Epoch     string       `json:"epoch"`
	Profile   string       `json:"profile"`
	Bootstrap bool         `json:"bootstrap"`
	Members   []RaftMember `json:"members"`
}

// RaftOpenResult is the server id of the raft folder.
type RaftOpenResult struct {
	Server string `json:"server"`
}

// RaftMembersParams replace the member list.
type RaftMembersParams struct {
	Members []RaftMember `json:"members"`
}

// RaftServer is one server of raft's own configuration.
type RaftServer struct {
	Server string `json:"server"`
	Voter  bool   `json:"voter"`
}

// RaftRefusal is the last refusal that a member sent us; Reason begins with a code.
type RaftRefusal struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
	AtMs   int64  `json:"atMs"`
}

// RaftState is the raft member's current view. Configuration is the entry that holds Members; Leader is empty while no
// leader is known.
type RaftState struct {
	Server           string        `json:"server"`
	Leading          bool          `json:"leading"`
	Leader           string        `json:"leader"`
	Term             uint64        `json:"term"`
	Last             uint64        `json:"last"`
	Commit           uint64        `json:"commit"`
	Applied          uint64        `json:"applied"`
	Snapshot         uint64        `json:"snapshot"`
	Configuration    uint64        `json:"configuration"`
	Members          []RaftServer  `json:"members"`
	FsyncP99Ms       float64       `json:"fsyncP99Ms"`
	FsyncSamples     int           `json:"fsyncSamples"`
	ElectionsIn10Min int           `json:"electionsIn10Min"`
	Refused          []RaftRefusal `json:"refused"`
}

// RaftChangeParams are one configuration change, a leadership transfer, or another profile.
type RaftChangeParams struct {
	Do       string `json:"do"`
	Server   string `json:"server,omitempty"`
	Previous uint64 `json:"previous,omitempty"`
	Profile  string `json:"profile,omitempty"`
	// Servers are those whose calls are refused, of "refuse" alone.
	Servers []string `json:"servers,omitempty"`
}

// PingParams name a tailnet address and a deadline in milliseconds.
type PingParams struct {
	IP        string `json:"ip"`
	TimeoutMs int    `json:"timeoutMs"`
}

// PingResult is the latency and path to a peer; Relay names the DERP region of a relayed path.
type PingResult struct {
	LatencyMs float64 `json:"latencyMs"`
	Path      string  `json:"path"`
	Relay     string  `json:"relay,omitempty"`
}

// CertResult says whether the tailnet provides certificates, and for which names.
type CertResult struct {
	HTTPS   bool     `json:"https"`
	Domains []string `json:"domains"`
}

// ServeConfigResult is the node's serve config and whether Funnel could be used.
type ServeConfigResult struct {
	Config       any    `json:"config"`
	Funnel       bool   `json:"funnel"`
	FunnelReason string `json:"funnelReason,omitempty"`
}

// DropParams name the node ids whose connections to close; nil means all.
type DropParams struct {
	Callers []string `json:"callers,omitempty"`
}

// DropResult counts the closed connections.
type DropResult struct {
	Closed int `json:"closed"`
}

// NotifyParams carry a state for the service manager to its datagram socket; a leading @ means an abstract one.
type NotifyParams struct {
	Socket string `json:"socket"`
	State  string `json:"state"`
}

// PeersResult lists the nodes that the policy lets this node see.
type PeersResult struct {
	Peers []Peer `json:"peers"`
}

// Status is the node's whole state.
type Status struct {
	State   string   `json:"state"`
	Control string   `json:"control"`
	Denied  *Denied  `json:"denied"`
	Self    *Self    `json:"self"`
	Health  []string `json:"health"`
	HTTPS   bool     `json:"https"`
	Domains []string `json:"domains"`
	Funnel  bool     `json:"funnel"`
}

// Denied is control's "no" to the node key of this device. Reason is removed, expired or refused; Message is control's
// own text.
type Denied struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Self is this node as the tailnet knows it. KeyExpiry is RFC 3339, or nil when the key does not expire.
type Self struct {
	ID         string   `json:"id"`
	Hostname   string   `json:"hostname"`
	DNSName    string   `json:"dnsName"`
	IPs        []string `json:"ips"`
	Tags       []string `json:"tags"`
	Login      string   `json:"login"`
	UserID     string   `json:"userId"`
	KeyExpiry  *string  `json:"keyExpiry"`
	KeyExpired bool     `json:"keyExpired"`
}

// Peer is another node. LastSeen is RFC 3339, or nil when unknown.
type Peer struct {
	ID       string   `json:"id"`
	Hostname string   `json:"hostname"`
	DNSName  string   `json:"dnsName"`
	IPs      []string `json:"ips"`
	Tags     []string `json:"tags"`
	Login    string   `json:"login"`
	UserID   string   `json:"userId"`
	OS       string   `json:"os"`
	Online   bool     `json:"online"`
	LastSeen *string  `json:"lastSeen"`
	Path     string   `json:"path"`
	Relay    string   `json:"relay"`
	Expired  bool     `json:"expired"`
	Shared   bool     `json:"shared"`
}

// Caller is the caller's identity as proved by the tailnet. Grants is empty or 32 hex digits (see GrantsParams).
type Caller struct {
	V      int      `json:"v"`
	ID     string   `json:"id"`
	Kind   string   `json:"kind"`
	Node   string   `json:"node"`
	Login  string   `json:"login"`
	UserID string   `json:"userId"`
	Tags   []string `json:"tags"`
	Own    bool     `json:"own"`
	Grants string   `json:"grants"`
}

// HelloEvent is the first line of the Go half.
type HelloEvent struct {
	Event     string `json:"event"`
	Protocol  int    `json:"protocol"`
	Tailscale string `json:"tailscale"`
	Go        string `json:"go"`
}

// StateEvent carries a changed Status.
type StateEvent struct {
	Event string `json:"event"`
	Status
}

// LoginEvent carries the login URL to show.
type LoginEvent struct {
	Event string `json:"event"`
	URL   string `json:"url"`
}

// MessageEvent is `auth-failed` or `fatal`.
type MessageEvent struct {
	Event   string `json:"event"`
	Message string `json:"message"`
}

// NetmapEvent says that peers or their rights changed.
type NetmapEvent struct {
	Event string `json:"event"`
	Peers int    `json:"peers"`
}

// RevokedEvent says that connections were closed because their callers' class, identity or rights changed.
type RevokedEvent struct {
	Event       string   `json:"event"`
	Callers     []string `json:"callers"`
	Connections int      `json:"connections"`
}

// LogEvent is one line for the log; level is debug, info, warning or error.
type LogEvent struct {
	Event   string `json:"event"`
	Level   string `json:"level"`
	Message string `json:"message"`
}
