// generic.Eventing, which the generic event source of Argo Events dials. It dials again every few seconds and knows no
// position, so the node keeps that for it, by a name.

package eventgrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/genericv1"
)

var (
	// The service has no acknowledgement: an event counts as received when the stream lived on for so long after it.
	settleAfter = 5 * time.Second
	// How often a position is kept.
	keepEvery = time.Second
)

var readerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

type eventing struct{ *Handler }

// readerConfig is what `config` of an event source says.
type readerConfig struct {
	// Reader names the position; the name of the event source where it is left out.
	Reader string   `json:"reader"`
	Space  string   `json:"space"`
	Types  []string `json:"types"`
}

// StartEventSource sends events from the kept position on, each as a structured CloudEvent.
func (e *eventing) StartEventSource(
	ctx context.Context, request *connect.Request[genericv1.EventSource], stream *connect.ServerStream[genericv1.Event],
) error {
	config, err := readConfig(request.Msg)
	if err != nil {
		return err
	}
	metadata := request.Header()
	if config.Space != "" {
		metadata = metadata.Clone()
		metadata.Set("Cairn-Space", config.Space)
	}
	since, err := e.backend.position(ctx, metadata, config.Reader, "")
	if err != nil {
		return err
	}
	query := spaceOf(metadata)
	setTypes(query, config.Types)
	setOwn(query, metadata)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	feed, since, err := e.open(ctx, metadata, config.Reader, query, since)
	if err != nil {
		return err
	}
	defer feed.close()
	keeper := &keeper{kept: since, save: func(cursor string) error {
		_, err := e.backend.position(ctx, metadata, config.Reader, cursor)
		return err
	}}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := e.guarded(func() error { return keeper.run(ctx) }); err != nil {
			cancel(err)
		}
	})
	cancel(e.forward(feed, argoOut{e.Handler, request.Msg.GetName(), stream.Send, keeper}))
	tasks.Wait()
	return context.Cause(ctx)
}

// open opens the feed behind a position. Where that is no longer kept, no person is there to choose: it goes on from
// the oldest event, and the log says so.
func (e *eventing) open(
	ctx context.Context, metadata http.Header, reader string, query url.Values, since string,
) (*feed, string, error) {
	query.Set("since", since)
	feed, err := e.backend.follow(ctx, metadata, query)
	failed := (*connect.Error)(nil)
	if err == nil || !errors.As(err, &failed) || failed.Meta().Get("Cairn-Oldest") == "" {
		return feed, since, err
	}
	oldest := failed.Meta().Get("Cairn-Oldest")
	e.options.Log("warning", fmt.Sprintf("the reader %s of %s goes on from %s, since its position %s is no longer kept: %s",
		reader, e.options.Caller(ctx), oldest, since, failed.Message()))
	if _, err := e.backend.position(ctx, metadata, reader, oldest); err != nil {
		return nil, "", err
	}
	query.Set("since", oldest)
	feed, err = e.backend.follow(ctx, metadata, query)
	return feed, oldest, err
}

// readConfig reads a JSON object, or the bare name of a reader.
func readConfig(source *genericv1.EventSource) (readerConfig, error) {
	config := readerConfig{Reader: source.GetName()}
	text := bytes.TrimSpace(source.GetConfig())
	switch {
	case len(text) == 0:
	case text[0] == '{':
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			return config, invalid("config", "config cannot be read: "+err.Error()+
				`: give a name, or {"reader": "NAME", "space": "SPACE", "types": ["TYPE"]}`)
		}
	default:
		config.Reader = string(text)
	}
	if !readerName.MatchString(config.Reader) {
		return config, invalid("config", fmt.Sprintf("%.80q is no name of a reader: give letters, digits, dots, hyphens "+
			"and underscores in config, at most 64", config.Reader))
	}
	return config, nil
}

// argoOut sends events to one event source.
type argoOut struct {
	handler *Handler
	name    string
	write   func(*genericv1.Event) error
	keeper  *keeper
}

func (o argoOut) open() error { return o.write(nil) }

func (o argoOut) passed(cursor string) { o.keeper.sent(cursor) }

func (o argoOut) send(cursor string, text []byte) error {
	err := o.handler.timed(cursor, func() error { return o.write(&genericv1.Event{Name: o.name, Payload: text}) })
	if err == nil {
		o.keeper.sent(cursor)
	}
	return err
}

// mark is the newest event that was sent within some moment.
type mark struct {
	cursor string
	at     time.Time
}

// keeper keeps the position of a reader some seconds behind what was sent.
type keeper struct {
	save func(cursor string) error
	kept string

	mu    sync.Mutex
	marks []mark
}

// sent records that an event was sent. There is one mark for each interval of keeping.
func (k *keeper) sent(cursor string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if last := len(k.marks) - 1; last > 0 && now.Sub(k.marks[last-1].at) < keepEvery {
		k.marks[last] = mark{cursor, now}
		return
	}
	k.marks = append(k.marks, mark{cursor, now})
}

// settled removes and returns the newest cursor that was sent long enough ago; "" for none.
func (k *keeper) settled(now time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	cursor := ""
	for len(k.marks) > 0 && now.Sub(k.marks[0].at) >= settleAfter {
		cursor, k.marks = k.marks[0].cursor, k.marks[1:]
	}
	return cursor
}

// run keeps positions until ctx ends. A position that cannot be kept now is kept with a later one.
func (k *keeper) run(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	due := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if settled := k.settled(time.Now()); settled != "" {
			due = settled
		}
		if due == "" || due == k.kept {
			continue
		}
		err := k.save(due)
		if ctx.Err() != nil {
			return nil
		}
		if _, again := retryAfter(err); err != nil && !again {
			return err
		}
		if err == nil {
			k.kept = due
		}
	}
}

// position keeps the position of a reader and returns it. Without a cursor it returns the one that is kept; a name
// without one begins with the next event.
func (b *backend) position(ctx context.Context, metadata http.Header, reader, cursor string) (string, error) {
	body := map[string]string{"reader": reader}
	if cursor != "" {
		body["cursor"] = cursor
	}
	response, err := b.post(ctx, metadata, "/operations/event_position", nil, "application/json", body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		Cursor string `json:"cursor"`
	}
	if err := readJSON(response, &answer); err != nil {
		return "", err
	}
	return answer.Cursor, nil
}
