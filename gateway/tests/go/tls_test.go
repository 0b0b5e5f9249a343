package clinicwire

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// makeCertificate makes an authority and a certificate for this machine, and answers the directory
// with their files.
func makeCertificate(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	names := filepath.Join(directory, "names")
	if err := os.WriteFile(names, []byte("subjectAltName=IP:127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := []string{"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"}
	for _, arguments := range [][]string{
		append(key, "/CN=Test authority", "-keyout", "ca.key", "-x509", "-days", "2", "-out", "ca.pem"),
		append(key, "/CN=localhost", "-keyout", "node.key", "-out", "node.csr"),
		{"x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
			"-days", "2", "-extfile", "names", "-out", "node.pem"},
	} {
		command := exec.Command("openssl", arguments...)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, output)
		}
	}
	return directory
}

// The client of Go's standard library agrees on HTTP/2, and checks the certificate.
func TestHTTP2OverTLS(t *testing.T) {
	files := makeCertificate(t)
	authority, err := os.ReadFile(filepath.Join(files, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: within, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}}
	url := startEmpty(t, "--tls-cert", filepath.Join(files, "node.pem"),
		"--tls-key", filepath.Join(files, "node.key")).url
	for range 3 {
		response, err := client.Get(url + "/health/live")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", response.Proto, response.Status)
		}
		if response.Header.Get("strict-transport-security") == "" {
			t.Fatal("there is no HSTS")
		}
	}
	if _, err := http.Get(url + "/health/live"); err == nil {
		t.Fatal("a client that does not know the authority was served")
	}
}
