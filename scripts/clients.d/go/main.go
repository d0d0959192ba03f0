// What programs do with nats.go, against the server given as the only argument (host:port).
//
// Started by scripts/clients, which restarts the server when this program writes "restart" and a line to its standard
// output; the answer is a line on its standard input.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 20 * time.Second

var url string

// How TLS is spoken, if it is.
var private []nats.Option

func main() {
	url = "nats://" + os.Args[1]
	if len(os.Args) > 2 && slices.Contains([]string{"tls", "mutual", "first"}, os.Args[2]) {
		overTLS(os.Args[2], os.Args[3])
		fmt.Fprintln(os.Stderr, "  ok   "+os.Args[2])
		return
	}
	if len(os.Args) > 2 {
		identify(os.Args[2], os.Args[3])
		fmt.Fprintln(os.Stderr, "  ok   "+os.Args[2])
		return
	}
	steps := []struct {
		name string
		run  func()
	}{
		{"publish and subscribe", publishAndSubscribe},
		{"wildcards", wildcards},
		{"queue groups", queueGroups},
		{"requests and replies", requests},
		{"headers", headers},
		{"no responders", noResponders},
		{"unsubscribe after", unsubscribeAfter},
		{"drain", drain},
		{"large payloads", largePayloads},
		{"reconnect", reconnect},
	}
	for _, step := range steps {
		step.run()
		fmt.Fprintln(os.Stderr, "  ok   "+step.name)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func connect(options ...nats.Option) *nats.Conn {
	nc, err := nats.Connect(url, append(slices.Clone(private), options...)...)
	must(err)
	return nc
}

func subscribe(nc *nats.Conn, subject string) *nats.Subscription {
	sub, err := nc.SubscribeSync(subject)
	must(err)
	must(nc.Flush())
	return sub
}

func next(sub *nats.Subscription) *nats.Msg {
	msg, err := sub.NextMsg(patience)
	must(err)
	return msg
}

func nothing(sub *nats.Subscription) {
	n, _, err := sub.Pending()
	must(err)
	check(n == 0, "%d messages too many on %s", n, sub.Subject)
}

func publishAndSubscribe() {
	one, two := connect(), connect()
	defer one.Close()
	defer two.Close()
	here, there := subscribe(one, "greet"), subscribe(two, "greet")
	for i := range 500 {
		must(one.Publish("greet", []byte(strconv.Itoa(i))))
	}
	for i := range 500 {
		for _, sub := range []*nats.Subscription{here, there} {
			msg := next(sub)
			check(string(msg.Data) == strconv.Itoa(i), "message %d is %q", i, msg.Data)
		}
	}
}

func wildcards() {
	one, two := connect(), connect()
	defer one.Close()
	defer two.Close()
	star, rest := subscribe(one, "a.*.c"), subscribe(one, "a.>")
	for _, subject := range []string{"a.b.c", "a", "a.b", "a.x.c", "b.b.c"} {
		must(two.Publish(subject, nil))
	}
	must(two.Flush())
	must(one.Flush())
	for _, wanted := range []string{"a.b.c", "a.x.c"} {
		check(next(star).Subject == wanted, "not %s", wanted)
	}
	for _, wanted := range []string{"a.b.c", "a.b", "a.x.c"} {
		check(next(rest).Subject == wanted, "not %s", wanted)
	}
	nothing(star)
	nothing(rest)
}

func queueGroups() {
	const count = 400
	publisher := connect()
	defer publisher.Close()
	var counts [2]atomic.Int64
	done := make(chan struct{}, count*2)
	for member := range counts {
		nc := connect()
		defer nc.Close()
		_, err := nc.QueueSubscribe("work", "workers", func(*nats.Msg) {
			counts[member].Add(1)
			done <- struct{}{}
		})
		must(err)
		must(nc.Flush())
	}
	for range count {
		must(publisher.Publish("work", []byte("x")))
	}
	for range count {
		<-done
	}
	first, second := counts[0].Load(), counts[1].Load()
	check(first+second == count && min(first, second) >= count*35/100, "spread %d and %d", first, second)
}

func requests() {
	asker, answerer := connect(), connect()
	defer asker.Close()
	defer answerer.Close()
	_, err := answerer.Subscribe("double", func(m *nats.Msg) {
		n, err := strconv.Atoi(string(m.Data))
		must(err)
		must(m.Respond([]byte(strconv.Itoa(2 * n))))
	})
	must(err)
	must(answerer.Flush())
	for n := range 200 {
		msg, err := asker.Request("double", []byte(strconv.Itoa(n)), patience)
		must(err)
		check(string(msg.Data) == strconv.Itoa(2*n), "twice %d is not %s", n, msg.Data)
	}
}

func headers() {
	one, two := connect(), connect()
	defer one.Close()
	defer two.Close()
	check(one.HeadersSupported(), "no headers")
	sub := subscribe(two, "h")
	msg := nats.NewMsg("h")
	msg.Header.Add("Trace", "7f")
	msg.Header.Add("Many", "first")
	msg.Header.Add("Many", "second: with a colon")
	msg.Data = []byte("body")
	must(one.PublishMsg(msg))
	got := next(sub)
	check(got.Header.Get("Trace") == "7f", "header %v", got.Header)
	check(slices.Equal(got.Header.Values("Many"), []string{"first", "second: with a colon"}), "header %v", got.Header)
	check(string(got.Data) == "body", "payload %q", got.Data)
}

func noResponders() {
	nc := connect()
	defer nc.Close()
	_, err := nc.Request("nobody.home", nil, patience)
	check(errors.Is(err, nats.ErrNoResponders), "not 503 but %v", err)
}

func unsubscribeAfter() {
	one, two := connect(), connect()
	defer one.Close()
	defer two.Close()
	sub := subscribe(one, "few")
	must(sub.AutoUnsubscribe(3))
	must(one.Flush())
	for range 10 {
		must(two.Publish("few", nil))
	}
	must(two.Flush())
	must(one.Flush())
	for range 3 {
		next(sub)
	}
	_, err := sub.NextMsg(patience)
	check(errors.Is(err, nats.ErrMaxMessages), "after the max: %v", err)
}

func drain() {
	closed := make(chan struct{})
	one := connect(nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	two := connect()
	defer two.Close()
	var got atomic.Int64
	_, err := one.Subscribe("in", func(*nats.Msg) { got.Add(1) })
	must(err)
	must(one.Flush())
	out := subscribe(two, "out")
	for range 200 {
		must(two.Publish("in", nil))
		must(one.Publish("out", nil))
	}
	must(two.Flush())
	must(one.Drain())
	<-closed
	check(got.Load() == 200, "%d of 200 before the drain", got.Load())
	for range 200 {
		next(out)
	}
}

func largePayloads() {
	one, two := connect(), connect()
	defer one.Close()
	defer two.Close()
	limit := int(one.MaxPayload())
	check(limit == 1024*1024, "max_payload %d", limit)
	sub := subscribe(two, "large")
	for _, size := range []int{65535, 65536, 500000, limit - 1, limit} {
		payload := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
		must(one.Publish("large", payload))
		check(bytes.Equal(next(sub).Data, payload), "%d bytes came changed", size)
	}
	err := one.Publish("large", make([]byte, limit+1))
	check(errors.Is(err, nats.ErrMaxPayload), "too large: %v", err)
}

func reconnect() {
	back := make(chan struct{}, 1)
	one := connect(nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	defer one.Close()
	sub := subscribe(one, "still")
	fmt.Println("restart")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	<-back
	must(one.Flush())
	two := connect()
	defer two.Close()
	must(two.Publish("still", []byte("there")))
	check(string(next(sub).Data) == "there", "another message")
}

// overTLS goes through a part of the list, with the certificates of this folder.
func overTLS(form, folder string) {
	private = []nats.Option{nats.RootCAs(folder + "/ca.pem")}
	switch form {
	case "mutual":
		_, err := nats.Connect(url, private...)
		check(err != nil, "who shows no certificate is let in")
		private = append(private, nats.ClientCert(folder+"/client.pem", folder+"/client.key"))
	case "first":
		private = append(private, nats.TLSHandshakeFirst())
	}
	nc := connect()
	state, err := nc.TLSConnectionState()
	must(err)
	check(state.HandshakeComplete, "in the clear")
	nc.Close()
	_, err = nats.Connect(url, nats.Secure())
	check(err != nil, "who does not believe the authority stays")
	publishAndSubscribe()
	largePayloads()
	reconnect()
}

// identify presents credentials or the seed of a key, in files of this folder: the right ones let in, others do not.
func identify(form, folder string) {
	present := func(name string) (*nats.Conn, error) {
		if form == "creds" {
			return nats.Connect(url, nats.UserCredentials(folder+"/"+name))
		}
		option, err := nats.NkeyOptionFromSeed(folder + "/" + name)
		must(err)
		return nats.Connect(url, option)
	}
	right, wrong := "plain.creds", "revoked.creds"
	if form == "nkey" {
		right, wrong = "key.seed", "stranger.seed"
	}
	nc, err := present(right)
	must(err)
	sub := subscribe(nc, "who")
	must(nc.Publish("who", []byte("me")))
	check(string(next(sub).Data) == "me", "not me")
	nc.Close()
	_, err = present(wrong)
	check(errors.Is(err, nats.ErrAuthorization), "%s is answered with %v", wrong, err)
}
