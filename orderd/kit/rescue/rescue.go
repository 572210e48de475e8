// Package rescue makes a panic an error where nothing else would: in goroutines that work for many
// callers, where one caller's input must not end the pod and with it the work of all the others.
package rescue

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that was caught.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the goroutine's stack at that moment.
	Stack []byte
}

// Error has the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Do returns what fn returns, or a [*PanicError] if fn panics.
func Do[T any](fn func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}
