// The cases with gorilla/websocket. argument: the URL. A line for each: `passed NAME` or `FAILED NAME: why`.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func expect(socket *websocket.Conn, kind int, want []byte) error {
	got, data, err := socket.ReadMessage()
	if err == nil && (got != kind || !bytes.Equal(data, want)) {
		err = fmt.Errorf("message of kind %d with %d bytes came back", got, len(data))
	}
	return err
}

func echoed(socket *websocket.Conn, kind int, data []byte) error {
	if err := socket.WriteMessage(kind, data); err != nil {
		return err
	}
	return expect(socket, kind, data)
}

func closedWith(socket *websocket.Conn, code int) error {
	_, _, err := socket.ReadMessage()
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code == code {
		return nil
	}
	return fmt.Errorf("ended with %v", err)
}

var cases = []struct {
	name string
	act  func(*websocket.Conn) error
}{
	{"echo", func(socket *websocket.Conn) error {
		return errors.Join(echoed(socket, websocket.TextMessage, []byte("héllo")), echoed(socket, websocket.BinaryMessage, []byte{0, 1, 255}))
	}},
	{"fragmentation", func(socket *websocket.Conn) error {
		// A writer that is flushed in the middle of a message sends what it has as a fragment: its buffer is 16 bytes.
		text := []byte(strings.Repeat("fragment ", 20))
		return echoed(socket, websocket.TextMessage, text)
	}},
	{"ping and pong, both ways", func(socket *websocket.Conn) error {
		ponged := ""
		socket.SetPongHandler(func(data string) error { ponged = data; return nil })
		socket.WriteControl(websocket.PingMessage, []byte("xyz"), time.Now().Add(time.Second))
		socket.WriteMessage(websocket.TextMessage, []byte("ping me"))
		if err := expect(socket, websocket.TextMessage, []byte("pong of abc")); err != nil || ponged != "xyz" {
			return fmt.Errorf("%v, pong %q", err, ponged)
		}
		return nil
	}},
	{"close code of the server", func(socket *websocket.Conn) error {
		socket.WriteMessage(websocket.TextMessage, []byte("close 4321 so long"))
		return closedWith(socket, 4321)
	}},
	{"close code of the client", func(socket *websocket.Conn) error {
		socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(3001, "enough"), time.Now().Add(time.Second))
		return closedWith(socket, 3001)
	}},
	{"16 MB", func(socket *websocket.Conn) error {
		return echoed(socket, websocket.BinaryMessage, bytes.Repeat([]byte("weft"), 4<<20))
	}},
	{"per-message deflate untouched", func(socket *websocket.Conn) error {
		return echoed(socket, websocket.TextMessage, []byte(strings.Repeat("compressible ", 80000)))
	}},
}

func main() {
	for _, one := range cases {
		dialer := websocket.Dialer{EnableCompression: one.name == "per-message deflate untouched"}
		if one.name == "fragmentation" {
			dialer.WriteBufferSize = 16
		}
		socket, answer, err := dialer.Dial(os.Args[1], nil)
		if err == nil {
			socket.SetReadDeadline(time.Now().Add(30 * time.Second))
			err = one.act(socket)
			if dialer.EnableCompression && !strings.HasPrefix(answer.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate") {
				err = fmt.Errorf("extensions %q", answer.Header.Get("Sec-Websocket-Extensions"))
			}
			socket.Close()
		}
		if err != nil {
			fmt.Printf("FAILED %s: %v\n", one.name, err)
			continue
		}
		fmt.Println("passed", one.name)
	}
}
