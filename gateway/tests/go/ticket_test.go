// Package clinicwire follows a ticket with the published Go client, in JSON and in Protobuf.
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

// network is the client's connection to the server, which a test can cut.
type network struct {
	mutex sync.Mutex
	cut   bool
	open  []net.Conn
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.cut {
		return nil, errors.New("the network is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, kind, address)
	if err == nil {
		n.open = append(n.open, conn)
	}
	return conn, err
}

func (n *network) sever() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.cut = true
	for _, conn := range n.open {
		_ = conn.Close()
	}
	n.open = nil
}

func (n *network) mend() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.cut = false
}

// event is what a subscription delivers: that it is subscribed, why it ended, or a state of its
// ticket.
type event struct {
	subscribed bool
	recovered  bool
	ended      uint32
	state      string
	offset     uint64
}

func (e event) String() string {
	if e.subscribed {
		return fmt.Sprintf("subscribed, recovered: %v, %s", e.recovered, e.state)
	}
	if e.ended != 0 {
		return fmt.Sprintf("unsubscribed: %d", e.ended)
	}
	return e.state
}

// read sums up the state of a ticket, such as `waiting 2`.
func read(t *testing.T, data []byte) string {
	var view struct {
		State string `json:"state"`
		Ahead *int   `json:"ahead"`
	}
	if err := json.Unmarshal(data, &view); err != nil {
		t.Errorf("a state cannot be read: %v in %q", err, data)
	}
	if view.Ahead == nil {
		return view.State
	}
	return fmt.Sprintf("%s %d", view.State, *view.Ahead)
}

func expect(t *testing.T, events <-chan event, wanted string) event {
	t.Helper()
	select {
	case next := <-events:
		if next.String() != wanted {
			t.Fatalf("got %q and not %q", next, wanted)
		}
		return next
	case <-time.After(within):
		t.Fatalf("%q did not arrive", wanted)
		return event{}
	}
}

type newClient func(string, centrifuge.Config) *centrifuge.Client

var clients = map[string]newClient{
	"json": centrifuge.NewJsonClient, "protobuf": centrifuge.NewProtobufClient,
}

func TestClientFollowsTicketAndResumes(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) { follow(t, client) })
	}
}

// listen subscribes to a ticket, and passes on what is delivered.
func listen(t *testing.T, client *centrifuge.Client, ticket string, events chan<- event) {
	t.Helper()
	subscription, err := client.NewSubscription("ticket:" + ticket)
	if err != nil {
		t.Fatal(err)
	}
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		next := event{subscribed: true, recovered: e.Recovered}
		if e.StreamPosition != nil {
			next.offset = e.StreamPosition.Offset
		}
		if len(e.Data) > 0 {
			next.state = read(t, e.Data)
		}
		events <- next
	})
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		events <- event{ended: e.Code}
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		events <- event{state: read(t, e.Data), offset: e.Offset}
	})
	if err := subscription.Subscribe(); err != nil {
		t.Fatal(err)
	}
}

// The ticket of another patient is refused. A token that must be replaced interrupts nothing. A
// revoked one ends the client for good.
func TestClientIsRefusedRenewedAndRevoked(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) { loseRights(t, client) })
	}
}

func loseRights(t *testing.T, newClient newClient) {
	c := startClinic(t)
	own, other := c.issue(), c.issue()
	rights := func(version int) string {
		return tokenOf(t, time.Hour, map[string]any{
			"role": "patient", "sub": "phone", "tickets": []string{own},
			"permission_version": version,
		})
	}
	client := newClient(c.socketURL(), centrifuge.Config{
		Token:    rights(1),
		GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) { return rights(2), nil },

		MinReconnectDelay: 10 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond,
	})
	t.Cleanup(client.Close)
	ended := make(chan uint32, 1)
	client.OnDisconnected(func(e centrifuge.DisconnectedEvent) { ended <- e.Code })
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
	events := make(chan event, 100)
	listen(t, client, other, events)
	expect(t, events, "unsubscribed: 103")
	listen(t, client, own, events)
	expect(t, events, "subscribed, recovered: false, waiting 0")
	c.ask("POST", "revocations", map[string]any{
		"kind": "permissions", "id": "phone", "permission_version": 2,
	})
	expect(t, events, "subscribed, recovered: true, ")
	c.ask("POST", "revocations", map[string]any{"kind": "subject", "id": "phone"})
	select {
	case code := <-ended:
		if code != 3507 {
			t.Fatalf("the client ended by %d", code)
		}
	case <-time.After(within):
		t.Fatal("the client did not end")
	}
}

func follow(t *testing.T, newClient newClient) {
	c := startClinic(t)
	first, second, own := c.issue(), c.issue(), c.issue()

	link := &network{}
	client := newClient(c.socketURL(), centrifuge.Config{
		Token: c.admin, NetDialContext: link.dial,
		MinReconnectDelay: 10 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond,
	})
	t.Cleanup(client.Close)
	reconnecting := make(chan struct{}, 100)
	client.OnConnecting(func(centrifuge.ConnectingEvent) { reconnecting <- struct{}{} })
	events := make(chan event, 100)
	listen(t, client, own, events)
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}

	start := expect(t, events, "subscribed, recovered: false, waiting 2")
	<-reconnecting
	c.call(first)
	moved := expect(t, events, "waiting 1")
	if start.offset == 0 || moved.offset <= start.offset {
		t.Errorf("positions grow: %d, %d", start.offset, moved.offset)
	}

	link.sever()
	select {
	case <-reconnecting:
	case <-time.After(within):
		t.Fatal("the client does not notice")
	}
	c.call(second)
	link.mend()
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

// The new token expires on its way. An error reply to the refresh would end the client for good.
func TestClientSurvivesRefreshByExpiredToken(t *testing.T) {
	c := startClinic(t)
	own := c.issue()
	asked := make(chan struct{}, 10)
	client := centrifuge.NewJsonClient(c.socketURL(), centrifuge.Config{
		Token: token(t, 1500*time.Millisecond),
		GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) {
			asked <- struct{}{}
			if len(asked) == 1 {
				return token(t, -time.Second), nil
			}
			return token(t, time.Hour), nil
		},
		MinReconnectDelay: 10 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond,
	})
	t.Cleanup(client.Close)
	ended, connected := make(chan uint32, 1), make(chan struct{}, 10)
	client.OnDisconnected(func(event centrifuge.DisconnectedEvent) { ended <- event.Code })
	client.OnConnected(func(centrifuge.ConnectedEvent) { connected <- struct{}{} })
	subscription, err := client.NewSubscription("ticket:" + own)
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan string, 100)
	subscription.OnPublication(func(event centrifuge.PublicationEvent) {
		states <- read(t, event.Data)
	})
	if err := errors.Join(subscription.Subscribe(), client.Connect()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case <-connected:
		case code := <-ended:
			t.Fatalf("the client ended by %d", code)
		case <-time.After(within):
			t.Fatal("the client did not come back")
		}
	}
	c.order(own, "hold", nil)
	select {
	case state := <-states:
		if state != "on_hold" {
			t.Fatalf("got %q", state)
		}
	case <-time.After(within):
		t.Fatal("no change arrived")
	}
}
