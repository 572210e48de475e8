// Package wire makes unary calls in Connect's binary protocol over HTTP/1.1. It is written by hand,
// because the load shares the machine with what it measures: a full client costs as much a call as
// the server's work. Every system that is compared is called by it.
package wire

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

// Within is how long a call may take.
const Within = 10 * time.Second

// Conn is a connection that calls one procedure, a call after the other. Not for use by several
// goroutines at once.
type Conn struct {
	address string
	conn    net.Conn
	read    *bufio.Reader
	// head is everything of a request before its length.
	head         []byte
	out, message []byte
	body         []byte
}

// Dial connects to a server, such as http://127.0.0.1:8080, and calls a procedure, such as
// /orderd.flash.v1.FlashService/PlaceFlashOrder, with a bearer token.
func Dial(ctx context.Context, url, token, procedure string) (*Conn, error) {
	address := strings.TrimPrefix(url, "http://")
	head := "POST " + procedure + " HTTP/1.1\r\nHost: " + address +
		"\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n" +
		"Authorization: Bearer " + token + "\r\nContent-Length: "
	c := &Conn{address: address, head: []byte(head)}
	return c, c.Redial(ctx)
}

// Redial connects again, after a call that got no answer.
func (c *Conn) Redial(ctx context.Context) error {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	c.conn, c.read = conn, bufio.NewReaderSize(conn, 4<<10)
	return nil
}

// Close the connection.
func (c *Conn) Close() { _ = c.conn.Close() }

// Call sends a request and waits for its answer, of whatever status. The body is overwritten by the
// next call.
func (c *Conn) Call(request proto.Message) (status int, body []byte, err error) {
	if c.message, err = (proto.MarshalOptions{}).MarshalAppend(c.message[:0], request); err != nil {
		return 0, nil, err
	}
	c.out = strconv.AppendInt(append(c.out[:0], c.head...), int64(len(c.message)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), c.message...)
	if err := c.conn.SetDeadline(time.Now().Add(Within)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	status, c.body, err = read(c.read, c.body[:0])
	return status, c.body, err
}

var (
	lengthHeader  = []byte("content-length:")
	chunkedHeader = []byte("transfer-encoding:")
)

// Errors of an answer.
var (
	ErrNoLength  = errors.New("the answer does not say how long it is")
	ErrMalformed = errors.New("no answer of HTTP/1.1")
)

// maxBody bounds an answer's length.
const maxBody = 16 << 20

// read a response of HTTP/1.1 that says how long it is; its body is appended to a buffer.
func read(from *bufio.Reader, body []byte) (int, []byte, error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return 0, body, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, body, fmt.Errorf("%w: %q", ErrMalformed, line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 100 {
		return 0, body, fmt.Errorf("%w: %q", ErrMalformed, line)
	}
	length := -1
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return 0, body, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		switch {
		case hasName(line, lengthHeader):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthHeader):]))); err != nil || length < 0 ||
				length > maxBody {
				return 0, body, fmt.Errorf("%w: %q", ErrMalformed, line)
			}
		case hasName(line, chunkedHeader):
			return 0, body, fmt.Errorf("%w: %d, %s", ErrNoLength, status, line)
		}
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return status, body, nil
	}
	if length < 0 {
		return 0, body, fmt.Errorf("%w: %d", ErrNoLength, status)
	}
	at := len(body)
	if cap(body)-at < length {
		body = append(make([]byte, 0, at+length), body...)
	}
	body = body[:at+length]
	_, err = io.ReadFull(from, body[at:])
	return status, body, err
}

// hasName says whether a header line begins with a name and its colon, in letters of any case.
func hasName(line, name []byte) bool {
	return len(line) >= len(name) && bytes.EqualFold(line[:len(name)], name)
}
