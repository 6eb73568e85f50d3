// Tests that what the state store took is on the disk, and that what it could not write is written later.

package core

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailscale.com/ipn"
)

func TestStateIsThereAfterAReopening(t *testing.T) {
	folder := t.TempDir()
	state := openTestState(t, folder)
	for id, value := range map[ipn.StateKey]string{"a": "1", "b": "2"} {
		if err := state.WriteState(id, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.WriteState("b", nil); err != nil {
		t.Fatal(err)
	}
	again := openTestState(t, folder)
	if value, err := again.ReadState("a"); err != nil || string(value) != "1" {
		t.Errorf("a is %q, %v", value, err)
	}
	if _, err := again.ReadState("b"); !errors.Is(err, ipn.ErrStateNotExist) {
		t.Errorf("a removed value is read: %v", err)
	}
}

func TestAValueThatCouldNotBeWrittenIsNotTakenForWritten(t *testing.T) {
	folder := t.TempDir()
	state := openTestState(t, folder)
	if err := state.WriteState("kept", []byte("1")); err != nil {
		t.Fatal(err)
	}
	// A folder of that name lets no rename through.
	path := filepath.Join(folder, stateFile)
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []ipn.StateKey{"new", "kept"} {
		if err := ipn.WriteState(state, id, []byte("2")); err == nil {
			t.Fatalf("%s was written without a file", id)
		}
	}
	if _, err := state.ReadState("new"); !errors.Is(err, ipn.ErrStateNotExist) {
		t.Errorf("a value that is not on the disk is read: %v", err)
	}
	if value, err := state.ReadState("kept"); err != nil || string(value) != "1" {
		t.Errorf("the value before is %q, %v", value, err)
	}

	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ipn.WriteState(state, "new", []byte("2")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), `"new"`) {
		t.Errorf("the file has %s, %v", text, err)
	}
}

func openTestState(t *testing.T, folder string) *durableState {
	t.Helper()
	state, err := openState(folder, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return state
}
