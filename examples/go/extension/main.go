// An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

type object = map[string]any

func answer(call context.Context, request *nats.Msg) {
	reply := func(body object, headers nats.Header) {
		message := &nats.Msg{Header: headers}
		if body != nil {
			message.Data, _ = json.Marshal(body)
		}
		if err := request.RespondMsg(message); err != nil {
			log.Print(err)
		}
	}
	var asked struct{ Payload struct{ Text *string } }
	if json.Unmarshal(request.Data, &asked) != nil || asked.Payload.Text == nil {
		// 4xx is the caller's fault: it is not retried, and the circuit does not move.
		noText := nats.Header{"Nats-Service-Error-Code": {"422"}, "Nats-Service-Error": {"no text"}}
		reply(object{"error": "payload.text is missing"}, noText)
		return
	}
	text := strings.ToLower(strings.TrimSpace(*asked.Payload.Text))
	if request.Header.Get("Beamline-Accept") != "stream" {
		reply(object{"payload": object{"text": text}}, nil)
		return
	}
	for _, word := range strings.Fields(text) {
		reply(object{"delta": word}, nats.Header{"Beamline-Stream": {"chunk"}})
		select {
		case <-time.After(100 * time.Millisecond): // This one works hard.
		case <-call.Done():
			return
		}
	}
	reply(nil, nats.Header{"Beamline-Stream": {"end"}})
}

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1))
	check(err)
	var calls sync.Map // The requests in hand, each with what ends its call.
	var inHand sync.WaitGroup
	onRequest := func(request *nats.Msg) {
		call, end := context.WithCancel(context.Background())
		calls.Store(request, end)
		inHand.Add(1)
		go func() { // The next request must not wait for it.
			defer inHand.Done()
			defer calls.Delete(request)
			defer end()
			answer(call, request)
		}()
	}
	onCancelled := func(message *nats.Msg) {
		id := message.Header.Get("Beamline-Call-Id")
		if id == "" {
			return
		}
		attempt := message.Header.Get("Beamline-Attempt") // Without it, the whole call.
		for request, end := range calls.Range {
			its := request.(*nats.Msg).Header.Get
			if its("Beamline-Call-Id") == id && (attempt == "" || its("Beamline-Attempt") == attempt) {
				fmt.Println("cancelled", id)
				end.(context.CancelFunc)()
			}
		}
	}
	// A queue group, so that each request goes to one replica; a cancellation goes to all of them.
	requests, err := nc.QueueSubscribe("beamline.ext.pre.normalize_text.v1", "normalize_text", onRequest)
	check(err)
	prefix := cmp.Or(os.Getenv("SUBJECT_PREFIX"), "beamline.registry")
	_, err = nc.Subscribe(prefix+".cancelled.normalize_text", onCancelled)
	check(err)
	drained := make(chan bool)
	requests.SetClosedHandler(func(string) { close(drained) })
	check(nc.Flush())
	fmt.Println("ready")

	<-stop.Done()
	check(requests.Drain()) // No new calls; those in hand are finished.
	<-drained
	inHand.Wait()
	check(nc.Flush())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
