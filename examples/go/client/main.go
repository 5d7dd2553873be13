// A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//
//	lookup normalize_text
//	invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//	stream {"id":"normalize_text","payload":{"text":"one two three"}}
//	cancel                                      (ends the last stream)
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Whose answer it is. An extension's own error says that the call was carried out.
func kind(said nats.Header) string {
	code := said.Get("Nats-Service-Error-Code")
	if code == "" {
		return cmp.Or(said.Get("Beamline-Stream"), "ok")
	}
	if said.Values("Beamline-Extension-Error") != nil {
		return "extension " + code
	}
	return "registry " + code
}

// Prints each reply with its sender: the sidecar of this pod, else one of the group.
func ask(ctx context.Context, nc *nats.Conn, verb, payload string, headers nats.Header) error {
	prefix := cmp.Or(os.Getenv("SUBJECT_PREFIX"), "beamline.registry")
	pod := os.Getenv("INSTANCE_ID") // Of the sidecar in this pod.
	if pod != "" && !strings.HasPrefix(verb, "all.") {
		err := exchange(ctx, nc, "local", prefix+".local."+pod+"."+verb, payload, headers)
		// Nobody is there, says the server at once; so nothing was carried out.
		if !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
	}
	return exchange(ctx, nc, "group", prefix+"."+verb, payload, headers)
}

func exchange(ctx context.Context, nc *nats.Conn, via, subject, payload string, headers nats.Header) error {
	inbox := nc.NewInbox() // Once it is gone, the registry ends its stream.
	replies, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer replies.Unsubscribe()
	request := nats.Msg{Subject: subject, Reply: inbox, Header: headers, Data: []byte(payload)}
	if err := nc.PublishMsg(&request); err != nil {
		return err
	}
	for {
		reply, err := replies.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		fmt.Println(via, kind(reply.Header), string(reply.Data))
		if reply.Header.Get("Beamline-Stream") != "chunk" {
			return nil
		}
	}
}

func main() {
	deadline := cmp.Or(os.Getenv("DEADLINE_MS"), "5000")
	ms, err := strconv.Atoi(deadline)
	check(err)
	patience := time.Duration(ms+500) * time.Millisecond // The last reply has to travel.
	// Without a connection it queues nothing, as nobody would wait any more when that is sent.
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	check(err)
	var calls sync.WaitGroup
	call := "" // The id of the last stream.
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 8<<20)
	for input.Scan() {
		verb, payload, _ := strings.Cut(input.Text(), " ")
		headers := nats.Header{"Beamline-Deadline-Ms": {deadline}} // After it, the registry gives up too.
		switch verb {
		case "stream":
			id := make([]byte, 8)
			rand.Read(id)
			verb, call = "invoke", fmt.Sprintf("%x", id)
			headers.Set("Beamline-Accept", "stream")
			headers.Set("Beamline-Call-Id", call)
		case "cancel": // Asks every sidecar; the one that has the call answers.
			verb, payload = "all.cancel", fmt.Sprintf(`{"call":%q}`, call)
		}
		calls.Add(1)
		go func() {
			defer calls.Done()
			ctx, end := context.WithTimeout(context.Background(), patience)
			defer end()
			// After a timeout nobody knows whether a call was carried out: it is not repeated here.
			if err := ask(ctx, nc, verb, payload, headers); err != nil {
				fmt.Println("failed", err)
			}
		}()
	}
	check(input.Err())
	calls.Wait()
	check(nc.Flush())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
