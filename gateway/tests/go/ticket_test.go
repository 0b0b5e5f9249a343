// Package clinicwire follows a clinic with the published Go client, in JSON and in Protobuf.
package clinicwire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

func TestClientFollowsTicketAndResumes(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		first, second, own := c.issue(), c.issue(), c.issue()
		client.connect(c, c.admin, nil)
		client.follow("ticket:"+own, nil)

		start := client.expect("subscribed anew: waiting 2")
		<-client.connecting
		c.call(first)
		moved := client.expect("waiting 1")
		if start.offset == 0 || moved.offset <= start.offset {
			t.Errorf("positions grow: %d, %d", start.offset, moved.offset)
		}

		client.network.sever()
		await(t, client.connecting, "the client notices")
		c.call(second)
		client.network.join(c)
		client.expect("recovered")
		missed := client.expect("waiting 0")
		if missed.offset <= moved.offset {
			t.Errorf("positions grow: %d, %d", moved.offset, missed.offset)
		}

		c.call(own)
		client.expect("called")
		c.order(own, "start", nil)
		client.expect("in_service")
		c.order(own, "complete", nil)
		client.expect("completed")
	})
}

// As if another node, one version ahead, had sent the position.
func TestClientWaitsForNodeThatIsBehind(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		own := c.issue()
		var known struct {
			Epoch   string `json:"epoch"`
			Version uint64 `json:"version"`
		}
		if err := json.Unmarshal(c.answer("GET", "tickets/"+own, nil, c.admin), &known); err != nil {
			t.Fatal(err)
		}
		newer := centrifuge.StreamPosition{Epoch: known.Epoch, Offset: known.Version + 1}
		client.connect(c, c.admin, nil)
		client.follow("ticket:"+own, &newer)
		c.awaitSubscribe()
		c.order(own, "hold", nil)
		if offset := client.expect("recovered").offset; offset != newer.Offset {
			t.Errorf("the client came back at %d and not %d", offset, newer.Offset)
		}
		c.order(own, "resume", nil)
		if offset := client.expect("waiting 0").offset; offset != newer.Offset+1 {
			t.Errorf("the next change is %d and not %d", offset, newer.Offset+1)
		}
	})
}

// A program that keeps nothing restarts with fewer changes than the client has seen.
func TestClientStartsOverAfterChangeOfEpoch(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		for range 3 {
			c.issue()
		}
		client.connect(c, c.admin, nil)
		client.follow("queue:"+queue, nil)
		before := client.expect("subscribed anew: line of 3")

		client.network.sever()
		c.stop()
		c = startEmpty(t)
		// Epochs are seconds, and one more for each further location of the same second.
		c.createLocation("elsewhere")
		c.createLocation(location)
		c.issue()
		client.network.join(c)
		after := client.expect("reset: line of 1")
		if epoch(t, before) >= epoch(t, after) {
			t.Errorf("epochs grow: %s, %s", before.epoch, after.epoch)
		}
		c.issue()
		client.expect("step")
	})
}

func epoch(t *testing.T, event event) uint64 {
	t.Helper()
	epoch, err := strconv.ParseUint(event.epoch, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// The new token expires on its way. An error reply to the refresh would end the client for good.
func TestClientSurvivesRefreshByExpiredToken(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		own := c.issue()
		tokens := make(chan string, 2)
		tokens <- token(t, -time.Second)
		tokens <- token(t, time.Hour)
		client.connect(c, token(t, 1500*time.Millisecond), func() string { return <-tokens })
		client.follow("ticket:"+own, nil)
		client.expect("subscribed anew: waiting 0")
		client.expect("recovered")
		c.order(own, "hold", nil)
		client.expect("on_hold")
	})
}

// patient signs a token of a patient with these tickets.
func patient(t *testing.T, expiresIn time.Duration, version int, tickets ...string) string {
	t.Helper()
	return tokenOf(t, expiresIn, map[string]any{
		"role": "patient", "sub": "phone", "tickets": tickets, "permission_version": version,
	})
}

// The new token covers one ticket less, and only the subscription to that ticket ends.
func TestClientRefreshesTokenWithoutInterruption(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		own, other := c.issue(), c.issue()
		// The client asks for a token after seven seconds.
		client.connect(c, patient(t, 10*time.Second, 1, own, other), func() string {
			return patient(t, time.Hour, 1, own)
		})
		client.follow("ticket:"+own, nil)
		client.expect("subscribed anew: waiting 0")
		client.follow("ticket:"+other, nil)
		client.expect("subscribed anew: waiting 1")
		client.expect("unsubscribed: 2000")
		c.order(own, "hold", nil)
		client.expect("on_hold")
		if attempts := len(client.connecting); attempts != 1 {
			t.Errorf("the client connected %d times", attempts)
		}
	})
}

// The ticket of another patient is refused. A token that must be replaced interrupts nothing. A
// revoked one ends the client for good.
func TestClientIsRefusedRenewedAndRevoked(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		own, other := c.issue(), c.issue()
		client.connect(c, patient(t, time.Hour, 1, own), func() string {
			return patient(t, time.Hour, 2, own)
		})
		client.follow("ticket:"+other, nil)
		client.expect("unsubscribed: 103")
		client.follow("ticket:"+own, nil)
		client.expect("subscribed anew: waiting 0")
		c.ask("POST", "revocations", map[string]any{
			"kind": "permissions", "id": "phone", "permission_version": 2,
		})
		client.expect("recovered")
		c.ask("POST", "revocations", map[string]any{"kind": "subject", "id": "phone"})
		if code := await(t, client.ended, "the client ends"); code != 3507 {
			t.Errorf("the client ended by %d", code)
		}
	})
}

func TestClientConnectsOnceAnotherConnectionHasEnded(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t, "--limit=connections-subject=1")
		own := c.issue()
		client.connect(c, c.admin, nil)
		await(t, client.connected, "the first connects")
		first := client.Client
		client.connect(c, c.admin, nil)
		client.follow("ticket:"+own, nil)
		client.expectRefusal(111)
		first.Close()
		client.expect("subscribed anew: waiting 0")
	})
}

func TestClientSubscribesAgainOnceItsRateAllows(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t, "--limit=subscribes-subject=1/3600")
		own, other := c.issue(), c.issue()
		client.connect(c, c.admin, nil)
		client.follow("ticket:"+own, nil)
		client.expect("subscribed anew: waiting 0")
		client.follow("ticket:"+other, nil)
		client.expectRefusal(111)
		c.changeLimits(map[string]string{"subscribes-subject": "off"})
		client.expect("subscribed anew: waiting 1")
	})
}

// The number of channels that one connection may follow.
const maxChannels = 64

// One channel more ends its own subscription, and no other.
func TestClientFollowsAsManyChannelsAsItMay(t *testing.T) {
	eachForm(t, func(t *testing.T, client *client) {
		c := startClinic(t)
		client.connect(c, c.admin, nil)
		var last string
		for ahead := range maxChannels {
			last = c.issue()
			client.follow("ticket:"+last, nil)
			client.expect(fmt.Sprintf("subscribed anew: waiting %d", ahead))
		}
		client.follow("ticket:"+c.issue(), nil)
		client.expect("unsubscribed: 106")
		c.order(last, "hold", nil)
		client.expect("on_hold")
	})
}
