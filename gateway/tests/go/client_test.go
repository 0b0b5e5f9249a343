package clinicwire

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// eachForm runs a scenario in both encodings of the protocol.
func eachForm(t *testing.T, scenario func(*testing.T, *client)) {
	for name, create := range map[string]func(string, centrifuge.Config) *centrifuge.Client{
		"json": centrifuge.NewJsonClient, "protobuf": centrifuge.NewProtobufClient,
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, &client{
				t: t, create: create, network: &network{},
				connecting: make(chan uint32, 1000), connected: make(chan string, 1000),
				ended: make(chan uint32, 1000), refused: make(chan uint32, 1000),
				events: make(chan event, 1000),
			})
		})
	}
}

// client is a published client, and what it delivers to its app.
type client struct {
	*centrifuge.Client
	t       *testing.T
	create  func(string, centrifuge.Config) *centrifuge.Client
	network *network
	// Codes of connecting, of the end, and of refused connects and subscribes.
	connecting, ended, refused chan uint32
	connected                  chan string
	events                     chan event
}

// event is what a subscription delivers: that it is subscribed, that it has ended, or a state.
type event struct {
	what   string
	epoch  string
	offset uint64
}

// connect connects to a clinic with a token. `getToken` may be nil.
func (c *client) connect(clinic *clinic, token string, getToken func() string) {
	c.t.Helper()
	config := centrifuge.Config{
		Token: token, NetDialContext: c.network.dial,
		MinReconnectDelay: 10 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond,
	}
	if getToken != nil {
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) {
			return getToken(), nil
		}
	}
	c.network.join(clinic)
	c.Client = c.create("ws://"+clinic.address()+"/connection/websocket", config)
	c.t.Cleanup(c.Close)
	c.OnConnecting(func(e centrifuge.ConnectingEvent) { c.connecting <- e.Code })
	c.OnConnected(func(e centrifuge.ConnectedEvent) { c.connected <- e.ClientID })
	c.OnDisconnected(func(e centrifuge.DisconnectedEvent) { c.ended <- e.Code })
	c.OnError(func(e centrifuge.ErrorEvent) { c.refuse(e.Error) })
	if err := c.Connect(); err != nil {
		c.t.Fatal(err)
	}
}

// refuse passes on the code of an error that is a reply of the server.
func (c *client) refuse(err error) {
	var reply *centrifuge.Error
	if errors.As(err, &reply) {
		c.refused <- reply.Code
	}
}

// follow subscribes to a channel. `known` is a position that the client already has, or nil.
func (c *client) follow(channel string, known *centrifuge.StreamPosition) {
	c.t.Helper()
	config := centrifuge.SubscriptionConfig{
		MinResubscribeDelay: 10 * time.Millisecond, MaxResubscribeDelay: 100 * time.Millisecond,
	}
	if known != nil {
		config.GetState = func(centrifuge.SubscriptionGetStateEvent) (centrifuge.StreamPosition, error) {
			return *known, nil
		}
	}
	subscription, err := c.NewSubscription(channel, config)
	if err != nil {
		c.t.Fatal(err)
	}
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		next := event{epoch: e.StreamPosition.Epoch, offset: e.StreamPosition.Offset}
		switch {
		case e.Recovered:
			next.what = "recovered"
		case e.WasRecovering:
			next.what = "reset: " + c.read(e.Data)
		default:
			next.what = "subscribed anew: " + c.read(e.Data)
		}
		c.events <- next
	})
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		c.events <- event{what: fmt.Sprintf("unsubscribed: %d", e.Code)}
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		c.events <- event{what: c.read(e.Data), offset: e.Offset}
	})
	subscription.OnError(func(e centrifuge.SubscriptionErrorEvent) { c.refuse(e.Error) })
	if err := subscription.Subscribe(); err != nil {
		c.t.Fatal(err)
	}
}

// read sums up the state of a ticket, such as `waiting 2`, or of a line, such as `line of 3`.
func (c *client) read(data []byte) string {
	var view struct {
		State   string         `json:"state"`
		Ahead   *int           `json:"ahead"`
		Entries map[string]any `json:"entries"`
		From    *uint64        `json:"from"`
	}
	if err := json.Unmarshal(data, &view); err != nil {
		c.t.Errorf("a state cannot be read: %v in %q", err, data)
	}
	switch {
	case view.Entries != nil:
		return fmt.Sprintf("line of %d", len(view.Entries)-1) // one entry is the queue itself
	case view.From != nil:
		return "step"
	case view.Ahead == nil:
		return view.State
	}
	return fmt.Sprintf("%s %d", view.State, *view.Ahead)
}

// expect fails unless the next event is the wanted one.
func (c *client) expect(wanted string) event {
	c.t.Helper()
	next := await(c.t, c.events, wanted)
	if next.what != wanted {
		c.t.Fatalf("got %q and not %q", next.what, wanted)
	}
	return next
}

// expectRefusal fails unless the next refused command has this code.
func (c *client) expectRefusal(code uint32) {
	c.t.Helper()
	if refused := await(c.t, c.refused, "a refusal"); refused != code {
		c.t.Fatalf("refused by %d and not %d", refused, code)
	}
}

// await waits for the next value of a channel.
func await[T any](t *testing.T, values <-chan T, what string) T {
	t.Helper()
	select {
	case next := <-values:
		return next
	case <-time.After(within):
		t.Fatalf("%s: did not happen", what)
		panic("unreachable")
	}
}
