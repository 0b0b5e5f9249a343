package clinicwire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Far longer than anything takes, so that no test fails on a busy machine.
const within = 20 * time.Second

// clinic is a running one-process binary with one location.
type clinic struct {
	t     *testing.T
	url   string
	admin string
	// stop kills it before the test ends.
	stop func()
}

// The tests sign tokens themselves, because they also need expired ones.
const secret = "the edge tests' own secret"

// token signs a development token of an admin, as `gateway::access::auth` defines it.
func token(t *testing.T, expiresIn time.Duration) string {
	t.Helper()
	return tokenOf(t, expiresIn, map[string]any{"sub": "test-admin", "role": "admin"})
}

// tokenOf signs a development token with more claims.
func tokenOf(t *testing.T, expiresIn time.Duration, claims map[string]any) string {
	t.Helper()
	all := map[string]any{
		"iss": "clinicwire-development", "aud": "clinicwire", "tenant": "demo",
		"iat": time.Now().Unix() - 60,
		"exp": float64(time.Now().Add(expiresIn).UnixMilli()) / 1000,
	}
	maps.Copy(all, claims)
	encode := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]any{
		"alg": "HS256", "typ": "JWT", "kid": "insecure-development-key",
	}) + "." + encode(all)
	inner := sha256.Sum256([]byte(secret))
	key := sha256.Sum256(append(inner[:], "token"...))
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const (
	location = "harbour"
	queue    = "harbour.general"
	room     = "harbour.room-1"
)

// startEmpty starts the binary with more flags, and stops it when the test ends.
func startEmpty(t *testing.T, flags ...string) *clinic {
	t.Helper()
	binary := os.Getenv("CLINICWIRE_BIN")
	if binary == "" {
		binary = "../../../target/debug/clinicwire"
	}
	ready := filepath.Join(t.TempDir(), "ready.json")
	var log bytes.Buffer
	command := exec.Command(binary, append([]string{"--empty", "--listen", "127.0.0.1:0",
		"--ready-file", ready, "--insecure-development-key=" + secret}, flags...)...)
	command.Stderr = &log
	// No server outlives the test: the kernel sends the signal when the starting thread ends.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("run cargo build -p clinicwire-standalone, or set CLINICWIRE_BIN: %v", err)
	}
	stop := sync.OnceFunc(func() {
		_ = command.Process.Kill()
		<-ended
	})
	t.Cleanup(stop)
	var contents struct {
		URL    string            `json:"url"`
		Tokens map[string]string `json:"tokens"`
	}
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the clinic ended at its start: %v\n%s", err, log.String())
		default:
		}
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &contents) == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the clinic does not serve")
		}
	}
	return &clinic{t: t, url: contents.URL, admin: contents.Tokens["admin"], stop: stop}
}

// startClinic starts the binary with more flags, and creates a location.
func startClinic(t *testing.T, flags ...string) *clinic {
	t.Helper()
	c := startEmpty(t, flags...)
	c.createLocation(location)
	return c
}

// createLocation creates a location with an open queue and a room.
func (c *clinic) createLocation(id string) {
	c.t.Helper()
	queue, room := id+".general", id+".room-1"
	c.ask("PUT", "locations/"+id, map[string]any{
		"name": "Harbour Clinic", "time_zone": "America/Toronto", "languages": []string{"en"},
	})
	c.ask("PUT", "queues/"+queue, map[string]any{"name": "General medicine", "prefix": "A"})
	c.ask("PUT", "stations/"+room, map[string]any{"name": "Room 1"})
	c.ask("POST", "queues/"+queue+"/open", nil)
}

// ask sends a request and answers its result.
func (c *clinic) ask(method, path string, body any) map[string]any {
	c.t.Helper()
	var outcome struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal(c.answer(method, path, body, c.admin), &outcome); err != nil {
		c.t.Fatal(err)
	}
	return outcome.Result
}

// answer sends a request and answers the whole answer.
func (c *clinic) answer(method, path string, body any, bearer string) []byte {
	c.t.Helper()
	if body == nil {
		body = struct{}{}
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := http.NewRequest(method, c.url+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("authorization", "Bearer "+bearer)
	request.Header.Set("content-type", "application/json")
	request.Header.Set("clinicwire-reason", "A test of clients")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		c.t.Fatalf("%s %s was answered %d %s", method, path, response.StatusCode, answer)
	}
	return answer
}

// changeLimits changes limits while the binary runs, as a super admin.
func (c *clinic) changeLimits(limits map[string]string) {
	c.t.Helper()
	bearer := tokenOf(c.t, time.Minute, map[string]any{"sub": "boss", "role": "super_admin"})
	c.answer("PUT", "limits", map[string]any{"limits": limits}, bearer)
}

// awaitSubscribe waits until the server has received the first subscribe to a ticket.
func (c *clinic) awaitSubscribe() {
	c.t.Helper()
	line := []byte(`clinicwire_subscriptions{kind="ticket"} 1` + "\n")
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(c.url + "/metrics")
		if err != nil {
			c.t.Fatal(err)
		}
		metrics, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && bytes.Contains(metrics, line) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatal("the server receives no subscribe")
		}
	}
}

// issue issues a ticket and answers its id.
func (c *clinic) issue() string {
	c.t.Helper()
	return fmt.Sprint(c.ask("POST", "queues/"+queue+"/tickets", nil)["ticket"])
}

// order gives a command about a ticket.
func (c *clinic) order(ticket, action string, body any) {
	c.t.Helper()
	c.ask("POST", "tickets/"+ticket+"/"+action, body)
}

func (c *clinic) call(ticket string) {
	c.t.Helper()
	c.order(ticket, "call", map[string]any{"station": room, "force": true})
}

// address is the host and port that the binary listens on.
func (c *clinic) address() string {
	return strings.TrimPrefix(c.url, "http://")
}
