// Package clinicwire follows a ticket with the published Go client, in both forms of its protocol.
package clinicwire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// line is the client's way to the server, which a test may cut.
type line struct {
	mutex sync.Mutex
	cut   bool
	open  []net.Conn
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.cut {
		return nil, errors.New("the line is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		l.open = append(l.open, conn)
	}
	return conn, err
}

func (l *line) sever() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.cut = true
	for _, conn := range l.open {
		_ = conn.Close()
	}
	l.open = nil
}

func (l *line) mend() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.cut = false
}

// What a follower hears: that it is subscribed, or a state of its ticket.
type heard struct {
	subscribed bool
	recovered  bool
	state      string
	offset     uint64
}

func (h heard) String() string {
	if h.subscribed {
		return fmt.Sprintf("subscribed, recovered: %v, %s", h.recovered, h.state)
	}
	return h.state
}

// read makes `waiting 2` of a ticket's state.
func read(t *testing.T, data []byte) string {
	var seen struct {
		State string `json:"state"`
		Ahead *int   `json:"ahead"`
	}
	if err := json.Unmarshal(data, &seen); err != nil {
		t.Errorf("a state cannot be read: %v in %q", err, data)
	}
	if seen.Ahead == nil {
		return seen.State
	}
	return fmt.Sprintf("%s %d", seen.State, *seen.Ahead)
}

func expect(t *testing.T, events <-chan heard, wanted string) heard {
	t.Helper()
	select {
	case event := <-events:
		if event.String() != wanted {
			t.Fatalf("heard %q and not %q", event, wanted)
		}
		return event
	case <-time.After(within):
		t.Fatalf("%q was not heard", wanted)
		return heard{}
	}
}

func TestATicketIsFollowedThroughItsLifeAndAReconnect(t *testing.T) {
	forms := map[string]func(string, centrifuge.Config) *centrifuge.Client{
		"json": centrifuge.NewJsonClient, "protobuf": centrifuge.NewProtobufClient,
	}
	for name, client := range forms {
		t.Run(name, func(t *testing.T) { follow(t, client) })
	}
}

func follow(t *testing.T, newClient func(string, centrifuge.Config) *centrifuge.Client) {
	c := startClinic(t)
	first, second, own := c.issue(), c.issue(), c.issue()

	way := &line{}
	client := newClient(c.socketURL(), centrifuge.Config{
		Token: c.admin, NetDialContext: way.dial,
		MinReconnectDelay: 10 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond,
	})
	t.Cleanup(client.Close)
	reconnecting := make(chan struct{}, 100)
	client.OnConnecting(func(centrifuge.ConnectingEvent) { reconnecting <- struct{}{} })
	subscription, err := client.NewSubscription("ticket:" + own)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan heard, 100)
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		event := heard{subscribed: true, recovered: e.Recovered}
		if e.StreamPosition != nil {
			event.offset = e.StreamPosition.Offset
		}
		if len(e.Data) > 0 {
			event.state = read(t, e.Data)
		}
		events <- event
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		events <- heard{state: read(t, e.Data), offset: e.Offset}
	})
	if err := errors.Join(subscription.Subscribe(), client.Connect()); err != nil {
		t.Fatal(err)
	}

	begun := expect(t, events, "subscribed, recovered: false, waiting 2")
	<-reconnecting
	c.call(first)
	moved := expect(t, events, "waiting 1")
	if begun.offset == 0 || moved.offset <= begun.offset {
		t.Errorf("positions grow: %d, %d", begun.offset, moved.offset)
	}

	way.sever()
	select {
	case <-reconnecting:
	case <-time.After(within):
		t.Fatal("the client does not notice")
	}
	c.call(second)
	way.mend()
	expect(t, events, "subscribed, recovered: true, ")
	missed := expect(t, events, "waiting 0")
	if missed.offset <= moved.offset {
		t.Errorf("positions grow: %d, %d", moved.offset, missed.offset)
	}

	c.call(own)
	expect(t, events, "called")
	c.order(own, "start", nil)
	expect(t, events, "in_service")
	c.order(own, "complete", nil)
	expect(t, events, "completed")
}
