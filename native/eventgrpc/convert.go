// Events of tas-mcp and CloudEvents, into each other.

package eventgrpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

// extensionRest holds, as JSON text, the metadata whose names cannot be names of extensions.
const extensionRest = "tasmetadata"

var (
	extensionName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	// Attributes that a metadata entry must not replace.
	reserved = map[string]bool{
		"id": true, "source": true, "type": true, "time": true, "specversion": true, "data": true, "database64": true,
		"datacontenttype": true, extensionRest: true,
	}
)

// ours reports whether only a node says this of an event. A client that sends what it received loses it on the way.
func ours(name string) bool { return strings.HasPrefix(strings.ToLower(name), "cairn") }

// sent is what Event and IngestEventRequest have in common.
type sent interface {
	GetEventId() string
	GetEventType() string
	GetSource() string
	GetTimestamp() int64
	GetData() string
	GetMetadata() map[string]string
}

// Seconds since 1970 within the years that CloudEvents can write.
const maxTimestamp = 253402300799

// toCloudEvent returns the event as JSON, or the error that names the field which is wrong.
func toCloudEvent(event sent) (json.RawMessage, error) {
	for _, field := range []struct{ name, value string }{
		{"event_id", event.GetEventId()}, {"event_type", event.GetEventType()}, {"source", event.GetSource()},
		{"data", event.GetData()},
	} {
		if field.value == "" {
			return nil, invalid(field.name, field.name+" is empty: give it")
		}
	}
	if !json.Valid([]byte(event.GetData())) {
		return nil, invalid("data", "data is no JSON text: encode it")
	}
	seconds := event.GetTimestamp()
	if seconds < 0 || seconds > maxTimestamp {
		return nil, invalid("timestamp", fmt.Sprintf("timestamp is %d: give seconds since 1970", seconds))
	}
	out := map[string]any{}
	rest := map[string]string{}
	for name, value := range event.GetMetadata() {
		switch {
		case ours(name):
		case extensionName.MatchString(name) && !reserved[name]:
			out[name] = value
		default:
			rest[name] = value
		}
	}
	if len(rest) > 0 {
		text, err := json.Marshal(rest)
		if err != nil {
			return nil, invalid("metadata", "metadata cannot be encoded: "+err.Error())
		}
		out[extensionRest] = string(text)
	}
	out["specversion"], out["id"] = "1.0", event.GetEventId()
	out["type"], out["source"] = event.GetEventType(), event.GetSource()
	out["datacontenttype"], out["data"] = "application/json", json.RawMessage(event.GetData())
	if seconds > 0 {
		out["time"] = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, invalid("data", "the event cannot be encoded: "+err.Error())
	}
	return text, nil
}

func invalid(field, text string) error {
	failed := connect.NewError(connect.CodeInvalidArgument, errors.New(text))
	failed.Meta().Set("Cairn-Field", field)
	return failed
}

// fromCloudEvent returns a structured CloudEvent as an event of tas-mcp: extensions are metadata, data is JSON text.
func fromCloudEvent(text []byte) (*mcpv1.Event, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, connect.NewError(connect.CodeInternal, fmt.Errorf("an event of this node cannot be read: %w", err))
	}
	event := &mcpv1.Event{Data: "null", Metadata: map[string]string{}}
	for name, value := range fields {
		switch name {
		case "id":
			event.EventId = plain(value)
		case "type":
			event.EventType = plain(value)
		case "source":
			event.Source = plain(value)
		case "time":
			if at, err := time.Parse(time.RFC3339Nano, plain(value)); err == nil {
				event.Timestamp = at.Unix()
			}
		case "data":
			event.Data = string(value)
		case "data_base64":
			event.Data, event.Metadata["dataencoding"] = string(value), "base64"
		case "specversion":
		case "datacontenttype":
			if kind := plain(value); kind != "application/json" {
				event.Metadata[name] = kind
			}
		case extensionRest:
			rest := map[string]string{}
			if json.Unmarshal([]byte(plain(value)), &rest) != nil {
				event.Metadata[name], rest = plain(value), nil // a client of REST may write what it likes
			}
			for key, entry := range rest {
				if _, taken := fields[key]; !taken && !ours(key) {
					event.Metadata[key] = entry
				}
			}
		default:
			event.Metadata[name] = plain(value)
		}
	}
	return event, nil
}

// plain returns a string without its quotes, and any other value as its JSON text.
func plain(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
