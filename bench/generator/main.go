// Backend and load generator of the bench, standard library only. generator/node.ts does the same, slower, where there is no Go.
//
//	generator backend HTTPPORT TCPPORT     GET /SIZE answers SIZE bytes; the TCP port reads a size (8 bytes, big-endian) and sends as many
//	generator load [flags]                 one run; prints one line of JSON (type result)
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
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
	if len(os.Args) == 4 && os.Args[1] == "backend" {
		go accept(os.Args[3], serveBytes)
		accept(os.Args[2], serveHTTP)
	}
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	mode := flags.String("mode", "http", "http | tcp (one connection after the other, one byte each) | bulk (one connection, -size bytes) | hold (idle connections until stdin ends)")
	port := flags.String("port", "", "on 127.0.0.1")
	connections := flags.Int("connections", 64, "")
	seconds := flags.Float64("seconds", 3, "")
	rate := flags.Int("rate", 0, "requests a second over all connections, evenly spaced; 0: each connection asks again at once")
	size := flags.Int64("size", 1024, "of an answer")
	flags.Parse(os.Args[2:])
	var out any
	switch *mode {
	case "http":
		out = askHTTP(*port, *connections, *size, *rate, *seconds)
	case "tcp":
		out = together(*connections, func(end time.Time, tally *tally) {
			for time.Now().Before(end) {
				began := time.Now()
				_, err := pull(*port, 1)
				tally.add(began, err)
			}
		}, *seconds)
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
	in, held, answers := make([]byte, 16384), 0, map[string][]byte{}
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
			path, _, _ := bytes.Cut(in[len("GET /"):end], []byte(" "))
			answer := answers[string(path)]
			if answer == nil {
				size, _ := strconv.Atoi(string(path))
				answer = append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), make([]byte, size)...)
				answers[string(path)] = answer
			}
			conn.Write(answer)
			held = copy(in, in[end+4:held])
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

func askHTTP(port string, connections int, size int64, rate int, seconds float64) result {
	request := fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.mesh.local\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n", size)
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
	port string
	conn net.Conn
	in   []byte
}

// One exchange; a connection that failed is made anew for the next.
func (c *client) ask(request []byte) (err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", "127.0.0.1:"+c.port, 5*time.Second); err != nil {
			c.conn = nil
			return err
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
