// Backend and load generator of the bench, standard library only. generator/node.ts does the same, slower, where there is no Go.
//
//	generator backend HTTPPORT TCPPORT GRPCPORT
//	                                       /SIZE answers SIZE bytes, whatever was sent; the TCP port reads a size (8 bytes, big-endian) and
//	                                       sends as many; the third echoes over HTTP/2 in plaintext, with trailers as gRPC has them
//	generator load [flags]                 one run; prints one line of JSON (type result)
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Latencies in microseconds, from the intended moment of sending where there is a rate (no coordinated omission).
type result struct {
	Good    int     `json:"good"`
	Failed  int     `json:"failed"`
	Why     string  `json:"why,omitempty"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Bytes   int64   `json:"bytes"`
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "backend" {
		go accept(os.Args[3], serveBytes)
		go serveGRPC(os.Args[4])
		accept(os.Args[2], serveHTTP)
	}
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	mode := flags.String("mode", "http", "http | tcp (one connection after the other, one byte each) | bulk (one connection, -size bytes) | mtls (a TLS connection for each request) | grpc (unary, eight streams a connection) | hold (idle connections until stdin ends)")
	port := flags.String("port", "", "on 127.0.0.1")
	connections := flags.Int("connections", 64, "")
	seconds := flags.Float64("seconds", 3, "")
	rate := flags.Int("rate", 0, "requests a second over all connections, evenly spaced; 0: each connection asks again at once")
	size := flags.Int64("size", 1024, "of an answer")
	body := flags.Int("body", 0, "bytes of a POST; 0: GET")
	certs := flags.String("certs", "", "folder with ca.pem, client.pem, client.key")
	flags.Parse(os.Args[2:])
	var out any
	switch *mode {
	case "http":
		out = askHTTP(*port, *connections, requestFor(*size, *body), *rate, *seconds)
	case "tcp":
		out = together(*connections, func(end time.Time, tally *tally) {
			for time.Now().Before(end) {
				began := time.Now()
				_, err := pull(*port, 1)
				tally.add(began, err)
			}
		}, *seconds)
	case "mtls":
		secure, request := secureWith(*certs), requestFor(*size, 0)
		out = together(*connections, func(end time.Time, tally *tally) {
			for time.Now().Before(end) {
				one := &client{port: *port, secure: secure}
				began := time.Now()
				tally.add(began, one.ask(request))
				if one.conn != nil {
					one.conn.Close()
				}
			}
		}, *seconds)
	case "grpc":
		out = callGRPC(*port, *connections, *seconds)
	case "bulk":
		began := time.Now()
		count, err := pull(*port, *size)
		out = result{Good: 1, Seconds: time.Since(began).Seconds(), Bytes: count}
		if err != nil {
			out = result{Failed: 1, Why: err.Error()}
		}
	case "hold":
		held := hold(*port, *connections)
		fmt.Println("held", len(held))
		io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(held)
		return
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

// ---- backend

func accept(port string, serve func(net.Conn)) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go func() { defer conn.Close(); serve(conn) }()
		}
	}
}

func serveHTTP(conn net.Conn) {
	in, held, answers := make([]byte, 1<<16), 0, map[string][]byte{}
	for {
		count, err := conn.Read(in[held:])
		if err != nil {
			return
		}
		held += count
		for {
			end := bytes.Index(in[:held], []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			_, path, _ := bytes.Cut(in[:end], []byte(" /"))
			path, _, _ = bytes.Cut(path, []byte(" "))
			answer := answers[string(path)]
			if answer == nil {
				size, _ := strconv.Atoi(string(path))
				answer = append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), make([]byte, size)...)
				answers[string(path)] = answer
			}
			rest := end + 4 + max(0, contentLength(in[:end+2]))
			for held < rest { // a body is read and left
				rest, held = rest-held, 0
				if held, err = conn.Read(in); err != nil {
					return
				}
			}
			conn.Write(answer)
			held = copy(in, in[rest:held])
		}
	}
}

func serveBytes(conn net.Conn) {
	zeros := make([]byte, 1<<18)
	var left uint64
	for binary.Read(conn, binary.BigEndian, &left) == nil {
		for left > 0 {
			count, err := conn.Write(zeros[:min(left, uint64(len(zeros)))])
			if err != nil {
				return
			}
			left -= uint64(count)
		}
	}
}

// ---- load

// What one connection saw.
type tally struct {
	took   []float64
	failed int
	why    string
}

func (t *tally) add(began time.Time, err error) {
	if err == nil {
		t.took = append(t.took, float64(time.Since(began).Nanoseconds())/1000)
		return
	}
	t.failed++
	t.why = err.Error()
	time.Sleep(10 * time.Millisecond)
}

func together(count int, run func(end time.Time, t *tally), seconds float64) result {
	began := time.Now()
	end := began.Add(time.Duration(seconds * 1e9))
	tallies := make([]tally, count)
	var wait sync.WaitGroup
	for at := range tallies {
		wait.Go(func() { run(end, &tallies[at]) })
	}
	wait.Wait()
	all := result{Seconds: time.Since(began).Seconds()}
	var took []float64
	for _, one := range tallies {
		took = append(took, one.took...)
		all.Failed += one.failed
		if one.why != "" {
			all.Why = one.why
		}
	}
	slices.Sort(took)
	if all.Good = len(took); all.Good > 0 {
		all.P50, all.P99 = took[all.Good/2], took[all.Good*99/100]
	}
	return all
}

func requestFor(size int64, body int) []byte {
	const fields = "HTTP/1.1\r\nHost: app.mesh.local\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
	if body == 0 {
		return fmt.Appendf(nil, "GET /%d %s\r\n", size, fields)
	}
	return append(fmt.Appendf(nil, "POST /%d %sContent-Length: %d\r\n\r\n", size, fields, body), make([]byte, body)...)
}

func askHTTP(port string, connections int, request []byte, rate int, seconds float64) result {
	// Connections are made beforehand: what is measured are requests.
	clients := make([]*client, connections)
	for at := range clients {
		clients[at] = &client{port: port}
		clients[at].ask(request)
	}
	next := make(chan *client, connections)
	for _, one := range clients {
		next <- one
	}
	var due chan time.Time
	if rate > 0 {
		due = moments(rate, seconds)
	}
	return together(connections, func(end time.Time, tally *tally) {
		mine := <-next
		for now := time.Now(); now.Before(end); now = time.Now() {
			if due != nil {
				intended, isOpen := <-due
				if !isOpen {
					return
				}
				now = intended
			}
			tally.add(now, mine.ask(request))
		}
	}, seconds)
}

// Intended moments of sending. A thread of its own sleeps until each, for the timers of the Go runtime are a millisecond coarse.
func moments(rate int, seconds float64) chan time.Time {
	out := make(chan time.Time, rate*int(seconds+1))
	go func() {
		runtime.LockOSThread()
		began, gap := time.Now(), time.Second/time.Duration(rate)
		for at := 0; at < int(float64(rate)*seconds); at++ {
			due := began.Add(time.Duration(at) * gap)
			for wait := time.Until(due); wait > 0; wait = time.Until(due) {
				left := syscall.NsecToTimespec(wait.Nanoseconds())
				syscall.Nanosleep(&left, nil)
			}
			out <- due
		}
		close(out)
	}()
	return out
}

type client struct {
	port   string
	secure *tls.Config
	conn   net.Conn
	in     []byte
}

// One exchange; a connection that failed is made anew for the next.
func (c *client) ask(request []byte) (err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", "127.0.0.1:"+c.port, 5*time.Second); err != nil {
			c.conn = nil
			return err
		}
		if c.secure != nil {
			c.conn = tls.Client(c.conn, c.secure)
		}
		c.in = make([]byte, 1<<17)
	}
	c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err = c.conn.Write(request); err == nil {
		err = c.readAnswer()
	}
	if err != nil {
		c.conn.Close()
		c.conn = nil
	}
	return err
}

func (c *client) readAnswer() error {
	held, whole := 0, -1
	for whole < 0 || held < whole {
		count, err := c.conn.Read(c.in[held:])
		if err != nil {
			return err
		}
		held += count
		if whole >= 0 {
			continue
		}
		end := bytes.Index(c.in[:held], []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		if !bytes.HasPrefix(c.in[:held], []byte("HTTP/1.1 200")) {
			return fmt.Errorf("answered %q", c.in[:min(held, 300)])
		}
		length := contentLength(c.in[:end+2])
		if whole = end + 4 + length; length < 0 || whole > len(c.in) {
			return errors.New("no content-length, or a very long one")
		}
	}
	return nil
}

func contentLength(head []byte) int {
	const name = "\r\ncontent-length: "
	for at := 0; at+len(name) < len(head); at++ {
		if head[at] == '\r' && head[at+2]|32 == 'c' && bytes.EqualFold(head[at:at+len(name)], []byte(name)) {
			value, _, _ := bytes.Cut(head[at+len(name):], []byte("\r\n"))
			if length, err := strconv.Atoi(string(value)); err == nil {
				return length
			}
		}
	}
	return -1
}

// Mutual TLS 1.3 as the client of the certificates, without resumption.
func secureWith(folder string) *tls.Config {
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key"))
	if err != nil {
		log.Fatal(err)
	}
	roots, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: x509.NewCertPool(), ServerName: "server.mesh.local", MinVersion: tls.VersionTLS13}
	secure.RootCAs.AppendCertsFromPEM(roots)
	return secure
}

// ---- gRPC-shaped calls: a message of 100 bytes comes back, with a status in trailers

func overH2() *http.Protocols {
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	return both
}

func serveGRPC(port string) {
	server := &http.Server{Addr: "127.0.0.1:" + port, Protocols: overH2(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}}
	server.Handler = http.HandlerFunc(func(answer http.ResponseWriter, asked *http.Request) {
		message, _ := io.ReadAll(asked.Body)
		answer.Header().Set("Content-Type", "application/grpc")
		answer.Header().Set("Trailer", "Grpc-Status")
		answer.Write(message)
		answer.Header().Set("Grpc-Status", "0")
	})
	log.Fatal(server.ListenAndServe())
}

func callGRPC(port string, connections int, seconds float64) result {
	message := append([]byte{0, 0, 0, 0, 100}, make([]byte, 100)...)
	next := make(chan *http.Client, connections*8)
	for range connections {
		one := &http.Client{Transport: &http.Transport{Protocols: overH2()}, Timeout: 20 * time.Second}
		for range 8 {
			next <- one
		}
	}
	return together(connections*8, func(end time.Time, tally *tally) {
		mine := <-next
		for time.Now().Before(end) {
			began := time.Now()
			tally.add(began, callOnce(mine, port, message))
		}
	}, seconds)
}

func callOnce(one *http.Client, port string, message []byte) error {
	asked, _ := http.NewRequest("POST", "http://127.0.0.1:"+port+"/bench.Echo/Unary", bytes.NewReader(message))
	asked.Header.Set("Content-Type", "application/grpc")
	asked.Header.Set("Te", "trailers")
	answer, err := one.Do(asked)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	back, err := io.ReadAll(answer.Body)
	if err == nil && (len(back) != len(message) || answer.Trailer.Get("Grpc-Status") != "0") {
		err = fmt.Errorf("%s, %d bytes, status %q", answer.Status, len(back), answer.Trailer.Get("Grpc-Status"))
	}
	return err
}

// A connection of its own that takes so many bytes.
func pull(port string, size int64) (int64, error) {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	conn.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	in, got := make([]byte, 1<<18), int64(0)
	for got < size {
		count, err := conn.Read(in)
		if got += int64(count); err != nil {
			return got, err
		}
	}
	return got, nil
}

// Connections that served once and now idle.
func hold(port string, count int) []*client {
	held := make([]*client, count)
	for at := range held {
		held[at] = &client{port: port}
		if err := held[at].ask([]byte("GET /1 HTTP/1.1\r\nHost: app.mesh.local\r\n\r\n")); err != nil {
			log.Fatal(err)
		}
		held[at].in = nil
	}
	return held
}
