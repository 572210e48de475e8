package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// wire is a connection that makes unary calls of one procedure in Connect's binary protocol. It is written by hand, because the
// load shares the machine with what it measures: a full client costs as much a call as the server's work.
type wire struct {
	conn net.Conn
	read *bufio.Reader
	// head is everything of a request before its length.
	head []byte
	out  []byte
}

func dial(ctx context.Context, url, token, procedure string) (*wire, error) {
	address := strings.TrimPrefix(url, "http://")
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	head := "POST " + procedure + " HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n" +
		"Authorization: Bearer " + token + "\r\nContent-Length: "
	return &wire{conn: conn, read: bufio.NewReaderSize(conn, 16<<10), head: []byte(head)}, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// call sends a request and waits for its answer.
func (w *wire) call(request proto.Message, done func([]byte) error) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	w.out = strconv.AppendInt(append(w.out[:0], w.head...), int64(len(body)), 10)
	w.out = append(append(w.out, "\r\n\r\n"...), body...)
	if err := w.conn.SetDeadline(time.Now().Add(callWithin)); err != nil {
		return err
	}
	if _, err := w.conn.Write(w.out); err != nil {
		return err
	}
	status, answer, err := w.answer()
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%d: %s", status, answer)
	}
	if done == nil {
		return nil
	}
	return done(answer)
}

var (
	lengthHeader  = []byte("content-length:")
	chunkedHeader = []byte("transfer-encoding:")
	errNoLength   = errors.New("the answer has no length")
)

// answer reads a response of HTTP/1.1 that says how long it is.
func (w *wire) answer() (int, []byte, error) {
	line, err := w.read.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 {
		return 0, nil, fmt.Errorf("unexpected answer %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, nil, fmt.Errorf("unexpected answer %q", line)
	}
	length := -1
	for {
		line, err := w.read.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		switch lower := bytes.ToLower(line); {
		case bytes.HasPrefix(lower, lengthHeader):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthHeader):]))); err != nil {
				return 0, nil, err
			}
		case bytes.HasPrefix(lower, chunkedHeader):
			return 0, nil, errNoLength
		}
	}
	if length < 0 {
		return 0, nil, errNoLength
	}
	body := make([]byte, length)
	_, err = io.ReadFull(w.read, body)
	return status, body, err
}
