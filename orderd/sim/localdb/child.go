package localdb

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// supervisor runs a server for as long as its standard input stays open. The process that wants the
// server holds the other end of that pipe, so that even after a panic or a SIGKILL the server goes,
// and with it the folder that it may remove. If the server ends first, so does the supervisor, and
// leaves the folder with what the server said.
const supervisor = `signal=$1 remove=$2; shift 2; "$@" </dev/null & pid=$!
exec 9<&0; told=; trap told=yes USR1
{ cat <&9 >/dev/null; kill -USR1 $$; kill -$signal $pid; } & watcher=$!
wait $pid; [ -n "$told" ] || { kill $watcher; exit; }
wait $pid; [ -z "$remove" ] || rm -rf "$remove"`

// watcher ends a server that somebody else started once its standard input closes.
const watcher = `cat >/dev/null; kill -KILL $1; rm -rf "$2"`

// held is a shell script that runs until this process ends.
type held struct {
	script string
	args   []string
	// log gets what the script and its server print.
	log  string
	attr *syscall.SysProcAttr
	// files stay open as long as the script and what it started run.
	files []*os.File
}

// start returns a channel that is closed when the script has ended.
func (h held) start() (ended <-chan struct{}, err error) {
	_, ended, err = h.hold()
	return ended, err
}

// hold is start; to close the pipe is to let the server go.
func (h held) hold() (pipe io.Closer, ended <-chan struct{}, err error) {
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = log.Close() }()
	//nolint:noctx // It ends when its standard input does, which is when this process does.
	cmd := exec.Command("/bin/sh", append([]string{"-c", h.script, "supervisor"}, h.args...)...)
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = h.attr, log, log, h.files
	pipe, err = cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	// Waiting keeps the pipe from being collected and closed before this process ends.
	go func(io.Closer) {
		_ = cmd.Wait()
		close(done)
	}(pipe)
	return pipe, done, nil
}

// WithProcess has the server with a process id killed, and the folder removed, when this process
// ends: for servers that something else has started.
func WithProcess(pid, folder string) error {
	_, err := held{
		script: watcher, args: []string{pid, folder}, log: filepath.Join(folder, "log"),
		attr: &syscall.SysProcAttr{Setsid: true},
	}.start()
	return err
}
