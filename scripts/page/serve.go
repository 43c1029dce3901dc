//go:build ignore

// Serve answers with the chat page on a free port of the loopback, whose address it prints, for the page's tests.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/glm4-metal/glm4-metal/internal/server/page"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("http://" + l.Addr().String())
	log.Fatal(http.Serve(l, page.Handler()))
}
