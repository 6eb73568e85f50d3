// The socketpair of the channel on Linux: close-on-exec from its birth.

package main

import "syscall"

// On Linux children that the other half spawns meanwhile cannot inherit the pair.
const socketFlags = syscall.SOCK_CLOEXEC
