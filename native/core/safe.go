// Panics of our own goroutines: recovered, told as an error, never the end of the process.
// A panic in a goroutine that a library started cannot be caught here and ends the process.

package core

import (
	"fmt"
	"runtime/debug"
)

// goSafe runs task in a goroutine and hands a panic to onPanic, with its stack.
func goSafe(what string, onPanic func(message string), task func()) {
	go func() {
		defer recoverTo(what, onPanic)
		task()
	}()
}

// recoverTo is deferred by whatever must outlive a panic.
func recoverTo(what string, onPanic func(message string)) {
	if cause := recover(); cause != nil {
		onPanic(fmt.Sprintf("panic in %s: %v\n%s", what, cause, debug.Stack()))
	}
}
