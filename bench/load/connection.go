package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	produceVersion = 9  // the first flexible one; topics by name
	fetchVersion   = 12 // the last with topics by name
	replyTimeout   = 60 * time.Second
	largestReply   = 1 << 28
)

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID("load"))

// Connection is one connection to the broker; one goroutine may write while another reads.
type Connection struct {
	socket  net.Conn
	replies *bufio.Reader
	buffer  []byte
}

func connect(address string) (*Connection, error) {
	socket, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &Connection{socket: socket, replies: bufio.NewReaderSize(socket, 64<<10)}, nil
}

func (c *Connection) close() { _ = c.socket.Close() }

func frame(request kmsg.Request) []byte { return formatter.AppendRequest(nil, request, 1) }

func (c *Connection) send(frame []byte) error {
	_, err := c.socket.Write(frame)
	return err
}

// reply reads the next reply, from its correlation id on; it is valid until the next call.
func (c *Connection) reply() ([]byte, error) {
	if c.replies.Buffered() == 0 {
		_ = c.socket.SetReadDeadline(time.Now().Add(replyTimeout))
	}
	head, err := c.replies.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	if size < 4 || size > largestReply {
		return nil, fmt.Errorf("a reply of %d bytes", size)
	}
	_, _ = c.replies.Discard(4)
	if cap(c.buffer) < size {
		c.buffer = make([]byte, size)
	}
	c.buffer = c.buffer[:size]
	_, err = io.ReadFull(c.replies, c.buffer)
	return c.buffer, err
}

// ask sends a request and decodes its reply. Only flexible requests have flexible reply headers.
func (c *Connection) ask(request kmsg.Request) (kmsg.Response, error) {
	if err := c.send(frame(request)); err != nil {
		return nil, err
	}
	data, err := c.reply()
	if err != nil {
		return nil, err
	}
	response := request.ResponseKind()
	return response, decode(response, data)
}

// decode reads a reply's body; ApiVersions alone never has tags in its header.
func decode(response kmsg.Response, data []byte) error {
	data = data[4:]
	if response.IsFlexible() && response.Key() != kmsg.ApiVersions.Int16() {
		if len(data) == 0 || data[0] != 0 {
			return errors.New("tags in a reply's header")
		}
		data = data[1:]
	}
	return response.ReadFrom(data)
}

func versions() *kmsg.ApiVersionsRequest {
	request := kmsg.NewPtrApiVersionsRequest()
	request.Version = 3
	request.ClientSoftwareName, request.ClientSoftwareVersion = "load", "1"
	return request
}

// openIdle opens connections that were greeted once and then do nothing.
func openIdle(address string, count int) (closeAll func(), err error) {
	var opened []*Connection
	closeAll = func() {
		for _, one := range opened {
			one.close()
		}
	}
	for range count {
		one, err := connect(address)
		if err == nil {
			opened = append(opened, one)
			_, err = one.ask(versions())
			one.buffer, one.replies = nil, nil
		}
		if err != nil {
			closeAll()
			return nil, err
		}
	}
	return closeAll, nil
}

// together runs work once for each number below count, and stops the others at the first error.
func together(count int, work func(ctx context.Context, number int) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var group sync.WaitGroup
	for number := range count {
		group.Go(func() {
			if err := work(ctx, number); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
