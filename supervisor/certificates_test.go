package supervisor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestARenewedCAIsReadByNewConnectionsOfTheSameEpoch(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	renew := func() tls.Certificate {
		certificate, ca := newCertificate(t)
		if err := os.WriteFile(file, ca, 0o600); err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	front := newTLSFront(t, fmt.Sprintf("%s:%d", config.Host, config.Port), renew())
	dsn := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=verify-full&sslrootcert=%s", config.User, config.Password, front.addr, config.Database, file)

	s, connects := performConnecting(t)
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")

	unknown, _ := newCertificate(t)
	front.certificate.Store(&unknown)
	if err := connects(); err == nil {
		t.Fatal("a server whose certificate nobody signed is trusted")
	}
	renewed := renew()
	front.certificate.Store(&renewed)
	if err := connects(); err != nil {
		t.Errorf("the renewed CA is not read: %v", err)
	}
	if got := s.history(); len(got) != 1 {
		t.Errorf("a renewed CA began a new epoch: %v", got)
	}
}

// newCertificate makes a certificate of 127.0.0.1, and the CA that it is itself.
func newCertificate(t *testing.T) (certificate tls.Certificate, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// tlsFront speaks TLS before a Postgres that does not.
type tlsFront struct {
	addr        string
	certificate atomic.Pointer[tls.Certificate]
}

func newTLSFront(t *testing.T, server string, certificate tls.Certificate) *tlsFront {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &tlsFront{addr: listener.Addr().String()}
	f.certificate.Store(&certificate)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(conn, server) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return f
}

// serve answers a client's request for TLS and joins the two, until either ends.
func (f *tlsFront) serve(conn net.Conn, server string) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil { // SSLRequest
		return
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return
	}
	client := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*f.certificate.Load()}})
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	var joined sync.WaitGroup
	join := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	joined.Go(func() { join(upstream, client) })
	joined.Go(func() { join(client, upstream) })
	joined.Wait()
}
