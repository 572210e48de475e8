package plog_test

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// lossy dials connections that lose the first requests for a consumer's messages, as a cluster may
// whose servers do not all know of the consumer yet.
type lossy struct{ lost atomic.Int32 }

func (l *lossy) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &lossyConn{Conn: conn, lossy: l}, err
}

type lossyConn struct {
	net.Conn
	*lossy
}

const requestsLost = 2

// Write implements net.Conn. A request is PUB subject reply size, a line end, and the payload with
// a line end.
func (c *lossyConn) Write(data []byte) (int, error) {
	all := len(data)
	if at := bytes.Index(data, []byte("PUB $JS.API.CONSUMER.MSG.NEXT.")); at >= 0 && c.lost.Load() < requestsLost {
		c.lost.Add(1)
		end := at
		for range 2 {
			end += bytes.Index(data[end:], []byte("\r\n")) + 2
		}
		data = append(bytes.Clone(data[:at]), data[end:]...)
	}
	_, err := c.Conn.Write(data)
	return all, err
}

func TestALostRequestDelaysAReaderOnly(t *testing.T) {
	server := testnats.Run(t)
	network := &lossy{}
	js, err := jetstream.New(server.Connect(t, nats.SetCustomDialer(network)))
	if err != nil {
		t.Fatal(err)
	}
	promo := &flashv1.Promotion{Uid: "u", Streams: plog.StreamNames("u", 1), Partitions: 2}
	config := jetstream.StreamConfig{Name: promo.Streams[0], Subjects: plog.Subjects(promo, 0)}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log := plog.New(js, promo)
	var last uint64
	for _, owner := range []string{"a", "b", "c"} {
		if last, err = log.Append(t.Context(), plog.Entry{
			Expected: last, Record: &flashv1.Record{Kind: &flashv1.Record_Fenced{Fenced: &flashv1.Fenced{Owner: owner}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	var owners []string
	read := func(_ uint64, record *flashv1.Record) error {
		owners = append(owners, record.GetFenced().GetOwner())
		return nil
	}
	if err := log.Read(t.Context(), 0, 0, last, read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, owners); diff != "" {
		t.Error(diff)
	}
	if lost := network.lost.Load(); lost != requestsLost {
		t.Errorf("%d requests were lost, want %d", lost, requestsLost)
	}
}
