//go:build !cairntest

package core

// TestHooks is true only in builds with the tag cairntest, which have the method `panic`.
const TestHooks = false
