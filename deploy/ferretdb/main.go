// Command ferretdb serves the MongoDB wire protocol on PostgreSQL (or SQLite) behind a write gate.
//
// FerretDB 1.24 by itself is not atomic: concurrent replaces of one document all report success. The gate (gate.go)
// mends that, so that a compare-and-swap means what it says. Nor does it use its indexes: indexes.go keeps some that PostgreSQL
// can use.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address for clients")
	postgresql := flag.String("postgresql", "", "PostgreSQL connection string")
	sqlite := flag.String("sqlite", "", "SQLite URI of a directory, instead of PostgreSQL")
	users := flag.String("users", "", "file with accounts; without it nobody is asked who he is")
	certificate := flag.String("tls", "", "PEM file with certificate and private key; without it links are plain")
	runDir := flag.String("run-dir", os.TempDir(), "folder for the socket between gate and FerretDB")
	flag.Parse()

	// Below errors FerretDB writes whole replies, with what people stored, into its log.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	door := door{listen: *listen, users: *users, certificate: *certificate}
	if err := serve(ctx, door, *runDir, *postgresql, *sqlite); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

// door is where clients come in, and what they show.
type door struct{ listen, users, certificate string }

// open listens, and knows who may come in.
func (d door) open() (net.Listener, *Users, error) {
	listener, err := net.Listen("tcp", d.listen)
	if err != nil {
		return nil, nil, err
	}
	if d.certificate != "" {
		pair, err := tls.LoadX509KeyPair(d.certificate, d.certificate)
		if err != nil {
			return nil, nil, err
		}
		settings := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		listener = tls.NewListener(listener, settings)
	}
	if d.users == "" {
		return listener, nil, nil
	}
	users, err := ReadUsers(d.users)
	return listener, users, err
}

// serve runs FerretDB on a socket of its own and the gate before it, until ctx ends.
func serve(ctx context.Context, door door, runDir, postgresql, sqlite string) error {
	socket := filepath.Join(runDir, "ferretdb.sock")
	// A killed process leaves its socket behind.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	config := &ferretdb.Config{
		Listener:      ferretdb.ListenerConfig{Unix: socket},
		Logger:        slog.Default(),
		Handler:       "postgresql",
		PostgreSQLURL: postgresql,
	}
	if sqlite != "" {
		config.Handler, config.SQLiteURL = "sqlite", sqlite
	}
	db, err := ferretdb.New(config)
	if err != nil {
		return err
	}
	listener, users, err := door.open()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "ferretdb: %s behind its write gate listens on %s\n", config.Handler, listener.Addr())
	if config.PostgreSQLURL != "" {
		go keepIndexes(ctx, config.PostgreSQLURL)
	}
	done := make(chan error, 1)
	go func() { done <- db.Run(ctx) }()
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	gate := NewGate(users, func() (net.Conn, error) { return net.Dial("unix", socket) })
	err = gate.Serve(listener)
	if ctx.Err() != nil {
		return <-done
	}
	return err
}
