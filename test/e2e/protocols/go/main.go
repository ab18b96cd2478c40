// Go's own HTTP client: POSTs a megabyte to the URL over the version that is named (1 or 2, in plaintext) and prints version, status and length of the echo.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	over := new(http.Protocols)
	over.SetHTTP1(os.Args[1] == "1")
	over.SetUnencryptedHTTP2(os.Args[1] == "2")
	client := &http.Client{Transport: &http.Transport{Protocols: over}}
	answer, err := client.Post(os.Args[2], "application/octet-stream", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	body, err := io.ReadAll(answer.Body)
	fmt.Println(answer.Proto, answer.StatusCode, len(body), err)
}
