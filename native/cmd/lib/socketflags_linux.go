// The flags of the channel's socketpair on Linux.

package main

import "syscall"

// Close-on-exec from creation on, so that concurrently spawned children cannot inherit the pair.
const socketFlags = syscall.SOCK_CLOEXEC
