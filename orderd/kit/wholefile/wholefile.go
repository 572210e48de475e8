// Package wholefile writes files that are read again after the process was killed.
package wholefile

import "os"

// Write replaces the file at path, or makes it, for its owner alone. A process that is killed meanwhile leaves
// the whole of the old file or of the new one, and perhaps a file path.next. It is not synced to disk: a machine
// that loses its power may lose both.
func Write(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
