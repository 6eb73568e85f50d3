// The library: three C exports around core. No export blocks, and each recovers panics. Everything else is JSON lines
// on the socketpair that cairn_open returns. Loaded once, never unloaded.
package main

/*
#include <stdint.h>
*/
import "C"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"cairn.internal/native/core"
)

// Return values of cairn_open without a handle.
const (
	badJSON       = -1
	wrongProtocol = -2
	systemFailure = -3
	panicked      = -4
)

const maxOpenBytes = 64 << 10

var (
	handlesMu  sync.Mutex
	handles    = map[int64]*os.File{}
	lastHandle int64
)

//export cairn_abi_version
func cairn_abi_version() (version C.int32_t) {
	defer func() {
		if recover() != nil {
			version = panicked
		}
	}()
	return core.ProtocolVersion
}

//export cairn_open
func cairn_open(text *C.char, length C.int64_t, fd *C.int32_t) (handle C.int64_t) {
	defer func() {
		if cause := recover(); cause != nil {
			handle = panicked
		}
	}()
	if text == nil || fd == nil || length < 0 || length > maxOpenBytes {
		return badJSON
	}
	var options struct {
		Protocol int  `json:"protocol"`
		Panic    bool `json:"panic,omitempty"`
	}
	decoder := json.NewDecoder(bytes.NewReader(C.GoBytes(unsafe.Pointer(text), C.int(length))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&options); err != nil || decoder.More() {
		return badJSON
	}
	if options.Protocol != core.ProtocolVersion {
		return wrongProtocol
	}
	if options.Panic {
		if !core.TestHooks {
			return badJSON
		}
		panic("asked for by a test")
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return systemFailure
	}
	handlesMu.Lock()
	lastHandle++
	id := lastHandle
	handles[id] = ours
	handlesMu.Unlock()
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				fmt.Fprintln(os.Stderr, "cairn: panic in the channel:", cause)
			}
		}()
		defer forget(id)
		core.Serve(ours)
	}()
	*fd = C.int32_t(theirs)
	return C.int64_t(id)
}

//export cairn_close
func cairn_close(handle C.int64_t) {
	defer func() { _ = recover() }()
	forget(int64(handle))
}

// forget closes our end of the socketpair; core.Serve then closes the node and returns.
func forget(id int64) {
	handlesMu.Lock()
	ours := handles[id]
	delete(handles, id)
	handlesMu.Unlock()
	if ours != nil {
		ours.Close()
	}
}

func main() {}
