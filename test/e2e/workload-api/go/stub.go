// "stub SOCKET FOLDER": an agent that serves the certificates in a folder, read again at each SIGHUP: NAME.pem (key and chain) in the order of names, and bundle.pem.
package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	folder string
	lock   sync.Mutex
	again  chan struct{}
}

func (a *agent) turn() chan struct{} {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.again
}

func ders(path string, kind string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all bytes.Buffer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			all.Write(block.Bytes)
		}
	}
	return all.Bytes()
}

func (a *agent) read() *workload.X509SVIDResponse {
	names, _ := filepath.Glob(filepath.Join(a.folder, "*.pem"))
	sort.Strings(names)
	bundle := ders(filepath.Join(a.folder, "bundle.pem"), "CERTIFICATE")
	reply := &workload.X509SVIDResponse{}
	for _, name := range names {
		if filepath.Base(name) == "bundle.pem" {
			continue
		}
		chain := ders(name, "CERTIFICATE")
		leaf, err := x509.ParseCertificates(chain)
		if err != nil || len(leaf) == 0 {
			continue
		}
		reply.Svids = append(reply.Svids, &workload.X509SVID{
			SpiffeId: leaf[0].URIs[0].String(), X509Svid: chain, X509SvidKey: ders(name, "PRIVATE KEY"), Bundle: bundle,
			Hint: strings.TrimSuffix(filepath.Base(name), ".pem"),
		})
	}
	return reply
}

func (a *agent) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	sent, _ := metadata.FromIncomingContext(stream.Context())
	if strings.Join(sent.Get("workload.spiffe.io"), "") != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	for {
		again := a.turn()
		reply := a.read()
		if len(reply.Svids) == 0 {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
		select {
		case <-again:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func stub() bool {
	if os.Args[1] != "stub" {
		return false
	}
	os.Remove(os.Args[2])
	listener, err := net.Listen("unix", os.Args[2])
	if err != nil {
		fail(err)
	}
	served := &agent{folder: os.Args[3], again: make(chan struct{})}
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	go func() {
		for range hups {
			served.lock.Lock()
			close(served.again)
			served.again = make(chan struct{})
			served.lock.Unlock()
		}
	}()
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, served)
	fmt.Println("serving")
	if err := server.Serve(listener); err != nil {
		fail(err)
	}
	return true
}
