// Tests of the node key of a state folder: which folders hold one.

package core

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tailscale.com/types/key"
)

func TestFoldersThatHoldAKey(t *testing.T) {
	private := key.NewNode()
	profile := func(loggedOut bool, private key.NodePrivate) []byte {
		text, err := json.Marshal(map[string]any{"LoggedOut": loggedOut, "Config": map[string]any{"PrivateNodeKey": private}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	state := func(current string, profile []byte) []byte {
		text, _ := json.Marshal(map[string][]byte{"_current-profile": []byte(current), "profile-1": profile})
		return text
	}
	for name, row := range map[string]struct {
		text []byte
		want bool
	}{
		"a key":                  {state("profile-1", profile(false, private)), true},
		"logged out":             {state("profile-1", profile(true, private)), false},
		"a zero key":             {state("profile-1", profile(false, key.NodePrivate{})), false},
		"another profile":        {state("profile-2", profile(false, private)), false},
		"a profile that is none": {state("profile-1", []byte("no JSON")), false},
		"no JSON":                {[]byte("no JSON"), false},
		"no file":                {nil, false},
	} {
		folder := t.TempDir()
		if row.text != nil {
			if err := os.WriteFile(filepath.Join(folder, stateFile), row.text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, is := storedKey(folder)
		if is != row.want || is != enrolled(folder) || is && !found.Equal(private) {
			t.Errorf("%s: %v", name, is)
		}
	}
}

// There is no engine here: a question would panic.
func TestNoKeyIsAskedAboutWithoutOneOrWhileLoggingOut(t *testing.T) {
	_, node := startFakeEngine(t)
	node.watch.init(time.Now())
	node.params.StateDir = t.TempDir()
	node.askAboutKey()
	text := []byte(`{"LoggedOut":false,"Config":{"PrivateNodeKey":"` + mustText(t, key.NewNode()) + `"}}`)
	state, err := json.Marshal(map[string][]byte{"_current-profile": []byte("profile-1"), "profile-1": text})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(node.params.StateDir, stateFile), state, 0o600); err != nil {
		t.Fatal(err)
	}
	if !enrolled(node.params.StateDir) {
		t.Fatal("the folder holds no key")
	}
	node.watch.loggedOut()
	node.askAboutKey()
	if len(node.watch.wakeup) != 0 || node.watch.denied != nil {
		t.Error("an answer was recorded")
	}
}

func TestOnlyAnAnswerEndsADenial(t *testing.T) {
	_, node := startFakeEngine(t)
	node.watch.init(time.Now())
	denied := &Denied{Reason: deniedRemoved}
	for _, row := range []struct {
		name   string
		err    error
		inPoll bool
		isOver bool
	}{
		{"no answer", errors.New("no route"), false, false},
		{"an answer before the network map came", nil, true, false},
		{"neither", errors.New("no route"), true, false},
		{"an answer", nil, false, true},
	} {
		node.watch.denied, node.watch.answeredAt = denied, time.Time{}
		node.recordAnswer(t.Context(), nil, row.err, row.inPoll)
		if (node.watch.denied == nil) != row.isOver || node.watch.answeredAt.IsZero() == row.isOver {
			t.Errorf("%s: %v, answered at %v", row.name, node.watch.denied, node.watch.answeredAt)
		}
	}
}

func mustText(t *testing.T, private key.NodePrivate) string {
	t.Helper()
	text, err := private.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
