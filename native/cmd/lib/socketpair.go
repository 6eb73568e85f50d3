// The socketpair between the two halves: CLOEXEC and non-blocking at both ends.

package main

import (
	"os"
	"syscall"
)

// socketPair returns our end as a file and the other end as a bare descriptor, which the caller's side owns.
func socketPair() (ours *os.File, theirs int, err error) {
	// Held so that this process does not fork between creating the pair and CLOEXEC (Linux could do both at once, macOS
	// cannot).
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|socketFlags, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, err
	}
	for _, fd := range pair {
		if err := syscall.SetNonblock(fd, true); err != nil {
			syscall.Close(pair[0])
			syscall.Close(pair[1])
			return nil, -1, err
		}
	}
	return os.NewFile(uintptr(pair[0]), "cairn-channel"), pair[1], nil
}
