// Recovers panics of our own goroutines and reports them as errors. A panic in a goroutine that a library started
// cannot be recovered here and ends the process.

package core

import (
	"fmt"
	"runtime/debug"
)

// goSafe runs task in a goroutine and passes a panic to onPanic, with its stack.
func goSafe(what string, onPanic func(message string), task func()) {
	go func() {
		defer recoverTo(what, onPanic)
		task()
	}()
}

// recoverTo recovers a panic and passes it to onPanic; call it with defer.
func recoverTo(what string, onPanic func(message string)) {
	if cause := recover(); cause != nil {
		onPanic(fmt.Sprintf("panic in %s: %v\n%s", what, cause, debug.Stack()))
	}
}
