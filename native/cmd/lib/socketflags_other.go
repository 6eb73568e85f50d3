//go:build !linux

package main

const socketFlags = 0
