// The routes of events of a node, as TypeScript serves them, on a unix socket.

package eventgrpc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeNode has the routes of events as TypeScript serves them.
type fakeNode struct {
	mu        sync.Mutex
	news      chan struct{}
	events    []map[string]any // event n is at n-1
	floor     int
	positions map[string]int
	batches   []int
	open      int // streams
	ready     bool
	noRights  bool
	// refuse, if set, may answer a request in place of its route.
	refuse func(http.ResponseWriter, *http.Request) bool
	// judge, if set, may refuse one event of a batch.
	judge func(event map[string]any) map[string]any
}

func newFakeNode() *fakeNode {
	return &fakeNode{news: make(chan struct{}), positions: map[string]int{}, ready: true}
}

func (n *fakeNode) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	n.mu.Lock()
	refuse, noRights := n.refuse, n.noRights
	n.mu.Unlock()
	if noRights {
		writer.Header().Set(HeaderClose, "1")
	}
	if refuse != nil && refuse(writer, request) {
		return
	}
	switch request.Method + " " + request.URL.Path {
	case "POST /events/batch":
		n.batch(writer, request)
	case "GET /events/stream":
		n.stream(writer, request)
	case "GET /events":
		n.list(writer, request)
	case "POST /operations/event_position":
		n.position(writer, request)
	case "GET /ready":
		status := http.StatusOK
		if !n.ready {
			status = http.StatusServiceUnavailable
		}
		respond(writer, status, map[string]any{"status": "ok", "ready": n.ready, "version": "1.2.3"})
	case "GET /.well-known/cairn":
		if noRights {
			problemTo(writer, http.StatusForbidden, "forbidden", "You have no right here", "Paste this grant.")
			return
		}
		respond(writer, http.StatusOK, map[string]any{})
	default:
		problemTo(writer, http.StatusNotFound, "not_found", "no such route: "+request.URL.Path, "")
	}
}

func respond(writer http.ResponseWriter, status int, value any) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(value)
}

func problemTo(writer http.ResponseWriter, status int, code, detail, hint string) {
	respond(writer, status, map[string]any{"status": status, "code": code, "detail": detail, "hint": hint})
}

func (n *fakeNode) batch(writer http.ResponseWriter, request *http.Request) {
	var batch []map[string]any
	if request.Header.Get("Content-Type") != "application/cloudevents-batch+json" {
		problemTo(writer, http.StatusUnsupportedMediaType, "unsupported_media_type", "no batch", "")
		return
	}
	if err := json.NewDecoder(request.Body).Decode(&batch); err != nil {
		problemTo(writer, http.StatusBadRequest, "invalid_input", err.Error(), "")
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.batches = append(n.batches, len(batch))
	results := []map[string]any{}
	for _, event := range batch {
		if n.judge != nil {
			if failed := n.judge(event); failed != nil {
				results = append(results, map[string]any{"id": event["id"], "error": failed})
				continue
			}
		}
		results = append(results, n.append(event, request.Header.Get("Test-Caller"), request.URL.Query().Get("space")))
	}
	close(n.news)
	n.news = make(chan struct{})
	respond(writer, http.StatusOK, map[string]any{"results": results})
}

// append stores an event; mu is held.
func (n *fakeNode) append(event map[string]any, caller, space string) map[string]any {
	for index, known := range n.events {
		if known["id"] == event["id"] && known["source"] == caller+"/"+fmt.Sprint(event["source"]) {
			return map[string]any{"id": event["id"], "cursor": cursorOf(index + 1), "duplicate": true}
		}
	}
	if space == "" {
		space = "default"
	}
	event["source"] = caller + "/" + fmt.Sprint(event["source"])
	event["cairncaller"], event["cairnspace"] = caller, space
	event["cairnposition"] = cursorOf(len(n.events) + 1)
	n.events = append(n.events, event)
	return map[string]any{"id": event["id"], "cursor": cursorOf(len(n.events))}
}

func cursorOf(offset int) string { return fmt.Sprintf("1f3a-e%d", offset) }

func offsetOf(cursor string) int {
	_, text, _ := strings.Cut(cursor, "-e")
	offset, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return offset
}

// start returns the offset behind which a reader begins, or false after it wrote a refusal.
func (n *fakeNode) start(writer http.ResponseWriter, request *http.Request) (int, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	query := request.URL.Query()
	since := query.Get("since")
	at := query.Get("time") + query.Get("after")
	switch {
	case since != "" && offsetOf(since) < n.floor:
		respond(writer, http.StatusGone, map[string]any{
			"code": "below_floor", "detail": "The cursor is older than what is kept", "hint": "Go on.",
			"oldest": cursorOf(n.floor),
		})
		return 0, false
	case since != "":
		return offsetOf(since), true
	case at != "":
		for index, event := range n.events {
			if text, _ := event["time"].(string); text >= at {
				return index, true
			}
		}
	}
	return len(n.events), true
}

func (n *fakeNode) wanted(request *http.Request, event map[string]any) bool {
	query := request.URL.Query()
	types, space := query.Get("types"), query.Get("space")
	isType := types == "" || slices.Contains(strings.Split(types, ","), fmt.Sprint(event["type"]))
	isOwn := event["cairncaller"] == request.Header.Get("Test-Caller")
	return isType && (space == "" || space == event["cairnspace"]) &&
		(!isOwn || query.Get("own") == "true" || request.URL.Path == "/events")
}

func (n *fakeNode) stream(writer http.ResponseWriter, request *http.Request) {
	at, fine := n.start(writer, request)
	if !fine {
		return
	}
	n.opened(1)
	defer n.opened(-1)
	writer.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(writer, "retry: 2000\nid: %s\n\n", cursorOf(at))
	for {
		n.mu.Lock()
		events, news := n.events[at:], n.news
		n.mu.Unlock()
		for _, event := range events {
			at++
			if n.wanted(request, event) {
				text, _ := json.Marshal(event)
				if _, err := fmt.Fprintf(writer, "id: %s\ndata: %s\n\n", cursorOf(at), text); err != nil {
					return
				}
			}
		}
		if n.wasCut(request) {
			fmt.Fprint(writer, "event: end\ndata: {\"reason\":\"rights_changed\",\"message\":\"Your rights have changed\"}\n\n")
			return
		}
		_ = http.NewResponseController(writer).Flush()
		select {
		case <-news:
		case <-request.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
			fmt.Fprintf(writer, ": heartbeat\nid: %s\n\n", cursorOf(at))
		}
	}
}

func (n *fakeNode) opened(more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open += more
}

// feeds returns how many streams are open.
func (n *fakeNode) feeds() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

func (n *fakeNode) wasCut(request *http.Request) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.noRights && request.Header.Get("Test-Caller") == "revoked"
}

func (n *fakeNode) list(writer http.ResponseWriter, request *http.Request) {
	at, fine := n.start(writer, request)
	if !fine {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	found := []map[string]any{}
	for ; at < len(n.events) && len(found) < 2; at++ {
		if n.wanted(request, n.events[at]) {
			found = append(found, n.events[at])
		}
	}
	respond(writer, http.StatusOK, map[string]any{"events": found, "cursor": cursorOf(at), "more": at < len(n.events)})
}

func (n *fakeNode) position(writer http.ResponseWriter, request *http.Request) {
	var asked struct{ Reader, Cursor string }
	_ = json.NewDecoder(request.Body).Decode(&asked)
	n.mu.Lock()
	defer n.mu.Unlock()
	if asked.Cursor != "" {
		n.positions[asked.Reader] = offsetOf(asked.Cursor)
	} else if _, known := n.positions[asked.Reader]; !known {
		n.positions[asked.Reader] = len(n.events)
	}
	respond(writer, http.StatusOK, map[string]any{"cursor": cursorOf(n.positions[asked.Reader])})
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.events)
}
