// A client of the SPIFFE Workload API that knows nothing of the mesh: tells each certificate that it gets, as a line, until it has heard of enough.
//
// arguments: how many lines. With "serve ADDRESS" or "call ADDRESS" instead: mutual TLS by these certificates, one connection. Others: see jwt.go and stub.go.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func fail(err error) {
	fmt.Println("ERROR", err)
	os.Exit(1)
}

type teller struct{ left chan struct{} }

func (t teller) OnX509ContextUpdate(found *workloadapi.X509Context) {
	svid := found.DefaultSVID()
	bundle, ok := found.Bundles.Get(svid.ID.TrustDomain())
	if !ok {
		fmt.Println("ERROR no bundle of", svid.ID.TrustDomain())
		os.Exit(1)
	}
	leaf := svid.Certificates[0]
	fmt.Println(svid.ID, leaf.SerialNumber.Text(16), len(svid.Certificates), len(bundle.X509Authorities()))
	t.left <- struct{}{}
}

func (t teller) OnX509ContextWatchError(err error) {
	fmt.Fprintln(os.Stderr, err)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if done := tokens(ctx) || stub(); done {
		return
	}
	if len(os.Args) == 3 {
		source, err := workloadapi.NewX509Source(ctx)
		if err != nil {
			fail(err)
		}
		defer source.Close()
		any := tlsconfig.AuthorizeAny()
		if os.Args[1] == "serve" {
			listener, err := spiffetls.ListenWithMode(ctx, "tcp", os.Args[2], spiffetls.MTLSServerWithSource(any, source))
			if err != nil {
				fail(err)
			}
			fmt.Println("listening")
			connection, err := listener.Accept()
			if err != nil {
				fail(err)
			}
			io.WriteString(connection, "hello\n")
			peer, err := spiffetls.PeerIDFromConn(connection)
			if err != nil {
				fail(err)
			}
			fmt.Println("called by", peer)
			connection.Close()
			return
		}
		connection, err := spiffetls.DialWithMode(ctx, "tcp", os.Args[2], spiffetls.MTLSClientWithSource(any, source))
		if err != nil {
			fail(err)
		}
		said, _ := io.ReadAll(connection)
		fmt.Print("heard ", string(said))
		return
	}
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fail(err)
	}
	left := teller{make(chan struct{}, 100)}
	ended := make(chan error, 1)
	go func() { ended <- workloadapi.WatchX509Context(ctx, left) }()
	for seen := 0; seen < count; seen++ {
		select {
		case <-left.left:
		case err := <-ended:
			fail(err)
		}
	}
}
