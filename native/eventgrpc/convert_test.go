// Tests of the two forms of an event, without a server: what each field becomes, and what is refused.

package eventgrpc

import (
	"encoding/json"
	"maps"
	"testing"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

func asCloudEvent(t *testing.T, sent *mcpv1.Event) map[string]any {
	t.Helper()
	text, err := toCloudEvent(sent)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestAnEventWithoutTimeAndMetadataHasNoneOfThem(t *testing.T) {
	want := map[string]any{
		"specversion": "1.0", "id": "1", "type": "build.done", "source": "ci", "datacontenttype": "application/json",
		"data": map[string]any{"n": float64(1)},
	}
	got := asCloudEvent(t, event("1"))
	if asText(got) != asText(want) {
		t.Errorf("got %s, not %s", asText(got), asText(want))
	}
}

func asText(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

func TestMetadataReplaceNoAttribute(t *testing.T) {
	names := []string{
		"id", "source", "type", "time", "specversion", "data", "database64", "datacontenttype", "tasmetadata",
		"Upper", "with-hyphen", "", "a2345678901234567890x",
	}
	sent := event("1")
	sent.Metadata = map[string]string{"trace": "abc", "cairncaller": "root", "CairnSpace": "other"}
	rest := map[string]string{}
	for _, name := range names {
		sent.Metadata[name], rest[name] = "forged "+name, "forged "+name
	}
	got := asCloudEvent(t, sent)
	kept := map[string]string{}
	if err := json.Unmarshal([]byte(got["tasmetadata"].(string)), &kept); err != nil || !maps.Equal(kept, rest) {
		t.Errorf("kept are %v: %v", kept, err)
	}
	delete(got, "tasmetadata")
	want := asCloudEvent(t, event("1"))
	want["trace"] = "abc"
	if asText(got) != asText(want) {
		t.Errorf("got %s, not %s", asText(got), asText(want))
	}
}

func TestTimesWithinTheYearsOfCloudEvents(t *testing.T) {
	sent := event("1")
	sent.Timestamp = maxTimestamp
	if got := asCloudEvent(t, sent)["time"]; got != "9999-12-31T23:59:59Z" {
		t.Errorf("the last second is %v", got)
	}
	sent.Timestamp++
	_, err := toCloudEvent(sent)
	wants(t, err, connect.CodeInvalidArgument, "timestamp is 253402300800")
}

func TestWhatGoesOutOfACloudEvent(t *testing.T) {
	for _, each := range []struct {
		fields string
		want   *mcpv1.Event
	}{
		{`{"specversion":"1.0","id":"1","type":"t","source":"s","time":"2023-11-14T22:13:20.9Z","data":{"n":1},` +
			`"datacontenttype":"application/json","cairnposition":"p","count":7,"flag":true}`,
			&mcpv1.Event{EventId: "1", EventType: "t", Source: "s", Timestamp: 1_700_000_000, Data: `{"n":1}`,
				Metadata: map[string]string{"cairnposition": "p", "count": "7", "flag": "true"}}},
		{`{"id":"1","time":"soon"}`, &mcpv1.Event{EventId: "1", Data: "null"}},
		{`{"data":"hi","datacontenttype":"text/plain"}`,
			&mcpv1.Event{Data: `"hi"`, Metadata: map[string]string{"datacontenttype": "text/plain"}}},
		{`{"data_base64":"aGk=","datacontenttype":"image/png"}`, &mcpv1.Event{Data: `"aGk="`,
			Metadata: map[string]string{"datacontenttype": "image/png", "dataencoding": "base64"}}},
		// What a client put into its metadata stands for no attribute and for nothing that a node says.
		{`{"id":"1","trace":"abc","tasmetadata":"{\"A b\":\"x\",\"trace\":\"y\",\"id\":\"2\",\"cairncaller\":\"root\"}"}`,
			&mcpv1.Event{EventId: "1", Data: "null", Metadata: map[string]string{"A b": "x", "trace": "abc"}}},
		{`{"tasmetadata":"no JSON"}`,
			&mcpv1.Event{Data: "null", Metadata: map[string]string{"tasmetadata": "no JSON"}}},
	} {
		got, err := fromCloudEvent([]byte(each.fields))
		if err != nil {
			t.Fatal(err)
		}
		if each.want.Metadata == nil {
			each.want.Metadata = map[string]string{}
		}
		// Copies of the fields: a message has a state of its own besides.
		shown := func(event *mcpv1.Event) string {
			return asText([]any{event.EventId, event.EventType, event.Source, event.Timestamp, event.Data, event.Metadata})
		}
		if shown(got) != shown(each.want) {
			t.Errorf("%s is %s", each.fields, shown(got))
		}
	}
	_, err := fromCloudEvent([]byte(`[]`))
	wants(t, err, connect.CodeInternal, "an event of this node cannot be read")
}
