package clinicwire

import (
	"context"
	"errors"
	"net"
	"sync"
)

// network is a client's connection to its server, which a test can cut.
type network struct {
	mutex sync.Mutex
	// address is that of the server, empty while the network is cut.
	address string
	open    []net.Conn
}

// dial connects to the server, whatever address the client asks for.
func (n *network) dial(ctx context.Context, kind, _ string) (net.Conn, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.address == "" {
		return nil, errors.New("the network is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, kind, n.address)
	if err == nil {
		n.open = append(n.open, conn)
	}
	return conn, err
}

func (n *network) sever() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.address = ""
	for _, conn := range n.open {
		_ = conn.Close()
	}
	n.open = nil
}

// join connects the client to a server again, which may be another one.
func (n *network) join(c *clinic) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.address = c.address()
}
